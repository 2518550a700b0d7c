"""``llmops rag stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show what is in an index, and the sizes of its chunks"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    from llmops_kernel.display import index_stats_view

    with opened_session() as session:
        report(index_stats_view(session.indexes.open(arguments.index).stats()), arguments)
    return 0
