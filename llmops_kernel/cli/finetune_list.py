"""``llmops finetune list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._finetune import add_run
from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "List runs, newest first"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print them."""
    from llmops_kernel.display.finetune import runs_view
    from llmops_kernel.finetune.facts import summary_of
    from llmops_kernel.finetune.runs import list_runs

    report(runs_view([summary_of(run) for run in list_runs(arguments.run)]), arguments)
    return 0
