"""``llmops model card``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Print the model card of a version"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="NAME[@VERSION]", help="the model")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the card, Markdown."""
    from llmops_kernel.display.models import model_card_view
    from llmops_kernel.finetune.registry import Registry

    report(model_card_view(Registry().get(arguments.ref).card), arguments)
    return 0
