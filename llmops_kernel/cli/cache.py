"""``llmops cache``: one module per verb, each like a verb of the whole program."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.cli._parser import Parser

HELP = "Look at answers that are given again, audit and delete them"


def add(parser: Parser) -> None:
    """Declare the verbs below this one."""
    from llmops_kernel.cli import (
        cache_audit,
        cache_clear,
        cache_evaluate,
        cache_explain,
        cache_import,
        cache_stats,
        cache_tune,
    )

    parser.group(
        "cache_verb",
        (
            cache_stats,
            cache_explain,
            cache_audit,
            cache_tune,
            cache_clear,
            cache_evaluate,
            cache_import,
        ),
    )
