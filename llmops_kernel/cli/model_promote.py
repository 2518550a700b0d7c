"""``llmops model promote``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Let a version serve, or put it into another stage"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="NAME[@VERSION]", help="the model")
    parser.add_argument(
        "--stage", metavar="NAME", default="serving",
        help="serving (the one that serves now is retired), candidate or retired",
    )  # fmt: skip
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Put it into the stage and say so."""
    from llmops_kernel.finetune.registry import Registry

    version = Registry().promote(arguments.ref, arguments.stage)
    if arguments.json:
        say_json(version.as_dict())
    else:
        say(f"{version.ref}: {version.stage}")
    return 0
