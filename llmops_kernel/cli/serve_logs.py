"""``llmops serve logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Print the end of a server's log, also after it was stopped"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the server")
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="how many (40)")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print them."""
    from llmops_kernel.display import printable
    from llmops_kernel.serve.servers.stopping import read_log

    text = read_log(arguments.name.removeprefix("local/"), max(1, arguments.lines))
    if arguments.json:
        say_json({"name": arguments.name, "lines": text.splitlines()})
    else:
        say(printable(text))
    return 0
