"""``llmops serve scale``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report, warn
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Bring a server to a number of replicas; each call goes to the one with least to do"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the server")
    parser.add_argument("replicas", type=int, metavar="N", help="how many")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Start or stop replicas, and print the server."""
    from llmops_kernel.display.serve import servers_view
    from llmops_kernel.serve.servers.starting import add_replicas
    from llmops_kernel.serve.servers.stopping import look

    name = arguments.name.removeprefix("local/")
    add_replicas(name, arguments.replicas, warn)
    report(servers_view([look(name).as_json()]), arguments)
    return 0
