"""``llmops serve bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._output import report, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._serve import BENCH, load_tested
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

HELP = "Put a server under load: waiting, speed, whole answers, and whether it batches"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for names, options in BENCH:
        parser.add_argument(*names, **options)
    parser.add_argument("--out", metavar="FILE", help="write figures and every sample as JSON")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the figures; 1 if any answer did not come whole."""
    from llmops_kernel.display.serve import bench_view

    found = load_tested(arguments, warn)
    if arguments.out:
        try:
            text = json.dumps(found.as_json(samples=True), indent=1)
            Path(arguments.out).write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageProblem("--out cannot be written", detail=f"{error}") from error
    report(bench_view(found.as_json()), arguments)
    return 0 if all(row.completeness == 1 for row in found.rows) else 1
