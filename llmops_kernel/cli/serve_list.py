"""``llmops serve list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List the servers, and whether they answer"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from llmops_kernel.display.serve import servers_view
    from llmops_kernel.serve.servers.stopping import look_at_all

    report(servers_view([each.as_json() for each in look_at_all()]), arguments)
    return 0
