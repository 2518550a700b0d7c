"""``llmops serve stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

HELP = "Stop servers"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones")
    parser.add_argument("--all", action="store_true", help="every one of yours")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Stop them."""
    from llmops_kernel.serve.record import names
    from llmops_kernel.serve.servers.stopping import stop_server

    if bool(arguments.names) == arguments.all:
        raise UsageProblem("llmops serve stop needs a NAME, or --all")
    wanted = names() if arguments.all else arguments.names
    stopped = [name.removeprefix("local/") for name in wanted]
    for name in stopped:
        stop_server(name)
        if not arguments.json:
            say(f"Stopped local/{name}")
    if arguments.json:
        say_json({"stopped": stopped})
    return 0
