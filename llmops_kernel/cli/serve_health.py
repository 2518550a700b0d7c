"""``llmops serve health``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Ask a server's replicas whether they are well; 1 if any is not"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="the server")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print what was found."""
    from llmops_kernel.display.serve import servers_view
    from llmops_kernel.serve.servers.stopping import look

    found = look(arguments.name.removeprefix("local/"))
    report(servers_view([found.as_json()]), arguments)
    return 0 if found.state == "ready" else 1
