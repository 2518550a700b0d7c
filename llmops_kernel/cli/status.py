"""``llmops status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show model, store, caps and whether spending is stopped"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the session's status."""
    from llmops_kernel.display import status_view

    with opened_session() as session:
        report(status_view(session.status()), arguments)
    return 0
