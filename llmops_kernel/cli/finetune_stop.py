"""``llmops finetune stop``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import add_run, say_run
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Let a run write a checkpoint and end"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("--wait", action="store_true", help="return when it has ended")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Ask it to."""
    from llmops_kernel.finetune.runs import find_run

    run = find_run(arguments.run)
    run.stop()
    if arguments.wait:
        run.wait()
    say_run(run, json=arguments.json)
    return 0
