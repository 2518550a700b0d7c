"""Two files of scores, side by side: what ``judge compare`` and ``judge gate`` have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import warn
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

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
) -> Report:
    """Return the report of a run with its gate."""
    from llmops_kernel.judge.report import build_report

    problems = facts.get("problems")
    return build_report(
        samples,
        scores,
        gate=gate,
        problems=problems if isinstance(problems, dict) else None,
        title=title,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


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
