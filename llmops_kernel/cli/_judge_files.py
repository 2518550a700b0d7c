"""Two files of scores, side by side: what ``judge compare`` and ``judge gate`` have in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import warn
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.display import View
    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

INVALID = 3


def samples_told(
    scores: Sequence[Score], data: str | None, labels: Sequence[str] = ()
) -> tuple[Sample, ...]:
    """Return the samples of scores, from a data set where one was given, with people's labels.

    Raises:
        UsageProblem: There are labels and no data set: nobody knows what they are of.
    """
    from llmops_kernel.cli._judge import read
    from llmops_kernel.cli._judge_labels import with_labels
    from llmops_kernel.judge.gating import samples_of

    if data is None:
        if labels:
            raise UsageProblem("Labels need the answers they are of", hint="--data DATA.jsonl")
        return samples_of(scores, None)
    return samples_of(scores, with_labels(read(data), labels).samples)


def report_of(
    samples: Sequence[Sample],
    scores: Sequence[Score],
    facts: Mapping[str, Any],
    gate: GateResult,
    *,
    title: str,
    baseline: Sequence[Score] | None = None,
    baseline_data: str | None = None,
) -> Report:
    """Return the report of a run with its gate, and the answers that changed most.

    ``baseline_data`` is the data set with the baseline's answers, where it was given.
    """
    from llmops_kernel.cli._judge import read
    from llmops_kernel.judge.report import build_report, changes_of

    old = () if baseline_data is None else read(baseline_data).samples
    changed = () if baseline is None else changes_of(scores, baseline, samples, old)

    problems = facts.get("problems")
    return build_report(
        samples,
        scores,
        gate=gate,
        changed=changed,
        problems=problems if isinstance(problems, dict) else None,
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def add_baseline_data(parser: argparse.ArgumentParser) -> None:
    """Declare ``--baseline-data``."""
    parser.add_argument(
        "--baseline-data", metavar="BASE.jsonl",
        help="the baseline's answers, to be shown beside those that changed most",
    )  # fmt: skip


def shown_with(view: View, report: Report) -> View:
    """Return a view whose figures have the answers that changed most, too."""
    changed = [each.as_dict() for each in report.changed]
    return replace(view, facts={**view.facts, "changed": changed})


def write_told(report: Report, *, html: str | Path | None, junit: str | Path | None = None) -> None:
    """Write the reports that were asked for."""
    from llmops_kernel.judge.gating import write_report
    from llmops_kernel.judge.report import to_html, to_junit

    if html:
        write_report(html, to_html(report))
    if junit:
        write_report(junit, to_junit(report))


def warn_ungated(scores: Sequence[Score], gate: GateResult) -> None:
    """Name the metrics of a run that nothing was compared with."""
    gated = {each.metric for each in gate.metrics}
    others = [name for name in dict.fromkeys(s.metric for s in scores) if name not in gated]
    if others:
        warn(f"Not compared: {', '.join(others)}")
