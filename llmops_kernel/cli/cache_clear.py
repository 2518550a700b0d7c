"""``llmops cache clear``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._cache import cleared
from llmops_kernel.cli._output import opened_session, say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Delete answers of this tenant, and the questions kept with them"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--tag", metavar="NAME", help="those with this tag")
    parser.add_argument("-m", "--model", metavar="NAME", help="those of this model")
    parser.add_argument("--notebook", metavar="NAME", help="those brought by this notebook")
    parser.add_argument("--all", action="store_true", help="all of them")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Delete them and say how many."""
    with opened_session() as session:
        removed = cleared(
            session,
            tag=arguments.tag,
            model=arguments.model,
            notebook=arguments.notebook,
            everything=arguments.all,
        )
    if arguments.json:
        say_json({"deleted": removed})
    else:
        say(f"Answers deleted: {removed}")
    return 0
