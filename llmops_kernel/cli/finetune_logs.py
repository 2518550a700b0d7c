"""``llmops finetune logs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import add_run
from llmops_kernel.cli._output import say

if TYPE_CHECKING:
    import argparse

HELP = "Show what a training's libraries printed"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    parser.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="how many (40)")
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the end of it."""
    from llmops_kernel.finetune.runs import find_run

    say(find_run(arguments.run).log(max(arguments.lines, 1)) or "Nothing was printed")
    return 0
