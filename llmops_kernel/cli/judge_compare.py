"""``llmops judge compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.cli._judge_files import (
    INVALID,
    add_baseline_data,
    report_of,
    samples_told,
    shown_with,
    warn_ungated,
    write_told,
)
from llmops_kernel.cli._output import report as show
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Tell what changed between two runs, with intervals"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("current", metavar="CURRENT.json", help="what judge run --out wrote")
    parser.add_argument("baseline", metavar="BASELINE.json", help="the run to compare it with")
    parser.add_argument(
        "--data", metavar="DATA.jsonl",
        help="the samples: those of one cluster are not counted as independent",
    )  # fmt: skip
    add_baseline_data(parser)
    parser.add_argument("--html", metavar="FILE", help="write the report as one HTML page")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the differences; 3 if a metric cannot be compared."""
    from llmops_kernel.display.judge import comparison_view
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.results import load_scores

    now, facts = load_scores(arguments.current)
    before, _ = load_scores(arguments.baseline)
    samples = samples_told(now, arguments.data)
    gate = decide(now, before, GateConfig(min_n=2), samples=samples)
    names = Path(arguments.current).name, Path(arguments.baseline).name
    title = f"{names[0]} against {names[1]}"
    report = report_of(
        samples, now, facts, gate, title=title, baseline=before,
        baseline_data=arguments.baseline_data,
    )  # fmt: skip
    write_told(report, html=arguments.html)
    view = comparison_view(gate, current=names[0], baseline=names[1], decides=False)
    show(shown_with(view, report), arguments)
    warn_ungated(now, gate)
    return INVALID if any(each.outcome == "invalid" for each in gate.metrics) else 0
