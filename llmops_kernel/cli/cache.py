"""``llmops cache``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from llmops_kernel.cli._parser import Parser

HELP = "Look at answers that are given again, audit and delete them"


def add(parser: Parser) -> None:
    """Declare the verbs."""
    from llmops_kernel.cli import (
        cache_audit,
        cache_clear,
        cache_evaluate,
        cache_explain,
        cache_import,
        cache_stats,
        cache_tune,
    )

    parser.set_defaults(call=_help(parser))
    verbs = parser.verbs("cache_verb", title="verbs")
    for module in (
        cache_stats,
        cache_explain,
        cache_audit,
        cache_tune,
        cache_clear,
        cache_evaluate,
        cache_import,
    ):
        name = module.__name__.rpartition("_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))


def _help(parser: Parser) -> Callable[[argparse.Namespace], int]:
    def call(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    return call
