"""``llmops cache tune``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._cache import tuned
from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show what the margin tier has learnt, what it would serve, and what it still needs"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--target", type=float, metavar="SHARE",
        help="hold it against this bound on errors per hit (default: the settings' own)",
    )  # fmt: skip
    parser.add_argument(
        "--restart", action="append", default=[], metavar="NAME",
        help="let near-verbatim, strict, margin or one partition begin anew; repeatable",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Restart what is to be, and print the partitions."""
    from llmops_kernel.display.cache_tune import cache_tune_view

    with opened_session() as session:
        tuning = tuned(session, arguments.target, arguments.restart)
    report(cache_tune_view(tuning), arguments)
    return 0
