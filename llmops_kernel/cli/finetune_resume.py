"""``llmops finetune resume``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import add_run, watched
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Go on with a run from its last checkpoint"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("--detach", action="store_true", help="return at once")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Go on; 1 if it does not reach its end."""
    from llmops_kernel.finetune.runs import find_run, resume

    run = resume(find_run(arguments.run))
    return watched(run, detach=arguments.detach, json=arguments.json)
