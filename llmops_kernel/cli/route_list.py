"""``llmops route list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List the routes, their models, and what is wrong with those that cannot be used"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from llmops_kernel.display.route import route_list_view

    with opened_session() as session:
        found = session.routes.listed()
    report(route_list_view(found), arguments)
    return 0
