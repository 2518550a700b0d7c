"""``llmops cache audit``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._cache import audited
from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List hits on other texts with both of them; judge them; errors per judged hit"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="how many (default: 20)"
    )
    parser.add_argument(
        "--right", type=int, action="append", default=[], metavar="NUMBER",
        help="say that a hit was right; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--wrong", type=int, action="append", default=[], metavar="NUMBER",
        help="say that a hit was wrong; repeatable",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Write verdicts down and print the list."""
    from llmops_kernel.display import cache_audit_view

    with opened_session() as session:
        audit = audited(session, arguments.limit, arguments.right, arguments.wrong)
    report(cache_audit_view(audit), arguments)
    return 0
