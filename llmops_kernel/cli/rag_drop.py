"""``llmops rag drop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Remove an index; the documents themselves stay"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Remove it and say so."""
    with opened_session() as session:
        session.indexes.drop(arguments.index)
    if arguments.json:
        say_json({"dropped": arguments.index})
    else:
        say(f"Dropped: {arguments.index}")
    return 0
