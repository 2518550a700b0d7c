"""``llmops rag reindex``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._rag import add_parts, parts_of

if TYPE_CHECKING:
    import argparse

HELP = "Build an index anew, with other parts or newer versions of its own"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    add_parts(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Build and report; 1 if a document could not be read again."""
    from llmops_kernel.display import index_stats_view

    with opened_session() as session:
        library = session.indexes
        failed = library.reindex(arguments.index, **parts_of(arguments))
        stats = library.open(arguments.index).stats()
    report(index_stats_view(stats, failed=failed), arguments)
    return 1 if failed else 0
