"""``llmops serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.cli._parser import Parser

HELP = "Plan, start, measure and stop servers of open models; each is a model local/NAME"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import (
        serve_bench,
        serve_build,
        serve_health,
        serve_list,
        serve_logs,
        serve_plan,
        serve_scale,
        serve_start,
        serve_stop,
    )

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(call=show)
    verbs = parser.verbs("serve_verb", title="verbs")
    for module in (
        serve_plan, serve_start, serve_list, serve_health, serve_logs, serve_scale, serve_bench,
        serve_stop, serve_build,
    ):  # fmt: skip
        name = module.__name__.rpartition("serve_")[2]
        module.add(verbs.add_parser(name, help=module.HELP, description=f"{module.HELP}."))
