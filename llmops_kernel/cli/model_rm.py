"""``llmops model rm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Delete a version and its files"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("ref", metavar="NAME@VERSION", help="the version")
    parser.add_argument("--force", action="store_true", help="even if it serves")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Delete it and say so."""
    from llmops_kernel.finetune.registry import Registry

    removed = Registry().remove(arguments.ref, force=arguments.force)
    if arguments.json:
        say_json({"removed": removed})
    else:
        say(f"Removed {removed}")
    return 0
