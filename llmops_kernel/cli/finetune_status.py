"""``llmops finetune status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import add_run, say_run
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Show a run"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print it."""
    from llmops_kernel.finetune.runs import find_run

    say_run(find_run(arguments.run), json=arguments.json)
    return 0
