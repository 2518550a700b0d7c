"""``llmops model show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show a version: figures, files, and whether they are as they were registered"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="NAME[@VERSION]", help="the model")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the version; 1 if its files were changed."""
    from llmops_kernel.display.models import model_view
    from llmops_kernel.finetune.registry import Registry

    registry = Registry()
    version = registry.get(arguments.ref)
    problems = registry.verify(version.ref)
    shown = model_view(
        version.as_dict(),
        parity=version.json("parity.json"),
        files=version.files,
        problems=problems,
    )
    report(shown, arguments)
    return 1 if problems else 0
