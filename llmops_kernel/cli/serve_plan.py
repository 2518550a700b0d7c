"""``llmops serve plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._serve_plan import FLAGS, planned

if TYPE_CHECKING:
    import argparse

HELP = "Say whether a model fits a GPU, for how many at once, and what its tokens cost"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for names, options in FLAGS:
        parser.add_argument(*names, **options)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    from llmops_kernel.display.serve import plan_view

    found = planned(arguments)
    report(plan_view(found.as_json()), arguments)
    return 0
