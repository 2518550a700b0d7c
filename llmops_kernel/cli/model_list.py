"""``llmops model list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List the models of this machine"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="versions of this model alone")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from llmops_kernel.display.models import model_list_view
    from llmops_kernel.finetune.registry import Registry

    versions = Registry().list(arguments.name)
    report(model_list_view([each.as_dict() for each in versions]), arguments)
    return 0
