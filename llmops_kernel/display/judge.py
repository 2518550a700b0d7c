"""Scores with their intervals, and what changed between two runs."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import UNKNOWN, count, nano_dollars, seconds
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.decision import GateResult, MetricGate
    from llmops_kernel.judge.report import MetricReport, Report
    from llmops_kernel.judge.stats.intervals import Interval

_VERDICTS = 20  # claims that are listed of a single answer
_LINE = 200


class RunLike(Protocol):
    """What a run took: calls, cost in the book ``simulated`` names, scores it knew, seconds."""

    @property
    def calls(self) -> int:
        """Model calls."""

    @property
    def usd_nano(self) -> int:
        """What they cost, in nano-dollars."""

    @property
    def simulated(self) -> bool:
        """Whether these are simulated dollars."""

    @property
    def resumed(self) -> int:
        """Scores that came from a journal, without a call."""

    @property
    def seconds(self) -> float:
        """Wall time."""


def judge_view(
    report: Report,
    *,
    judge: str,
    run: RunLike,
    notes: Sequence[str] = (),
    stable: bool = False,
) -> View:
    """Build the table of metrics: mean, interval, how many were scored, and why others were not.

    Metrics without labels of people are marked "uncalibrated". The verdicts of a single sample are
    listed below.

    Args:
        report: What was found.
        judge: Who judged.
        run: What it took now; scores from a journal were paid for before.
        notes: What a person should know; a line each.
        stable: Leave out how long it took.
    """
    rows = [
        (
            each.metric,
            _number(each.mean.estimate if each.mean else None),
            interval_text(each.mean),
            count(each.scored),
            _reasons(each),
            each.calibration.state,
        )
        for each in report.metrics
    ]
    columns = ("Metric", "Mean", "95 % interval", "n", "Unscored", "People's labels")
    html, plain = table(columns, rows, _caption(report, judge, run, stable=stable))
    parts, lines = [html], [plain]
    if report.samples == 1:
        for metric in report.metrics:
            listed = _verdicts(metric)
            if listed:
                one_html, one_plain = table(("Verdict", "Claim", "Evidence"), listed, metric.metric)
                parts.append(one_html)
                lines += ["", one_plain]
    below, below_plain = _below(report, notes)
    facts = report.as_dict() | {
        "judge": judge,
        "run": {
            "calls": run.calls,
            "usd_nano": run.usd_nano,
            "simulated": run.simulated,
            "resumed": run.resumed,
            "seconds": run.seconds,
        },
        "notes": list(notes),
    }
    return view("\n".join([*parts, *below]), "\n".join([*lines, *below_plain]), facts)


def comparison_view(gate: GateResult, *, current: str, baseline: str, decides: bool) -> View:
    """Build the table of differences between two runs.

    Args:
        gate: The comparison.
        current: Name of the run.
        baseline: Name of what it is compared with.
        decides: Whether the outcome is one that somebody asked for, rather than a comparison.
    """
    rows = [
        (
            each.metric + (" (advisory)" if each.advisory else ""),
            count(each.n),
            _number(each.baseline_mean),
            _number(each.mean.estimate if each.mean else None),
            _number(each.delta.estimate if each.delta else None, signed=True),
            interval_text(each.delta, signed=True),
            _p_value(each.p if each.p_holm is None else each.p_holm),
            _number(each.mde or None),  # no spread at all tells nothing of what could be seen
            each.outcome if decides else change_of(each, gate.config.alpha),
        )
        for each in gate.metrics
    ]
    columns = ("Metric", "n", "Before", "Now", "Difference", "Interval", "p (Holm)",
               "Detectable", "Outcome" if decides else "Change")  # fmt: skip
    caption = f"{current} against {baseline}"
    if decides:
        caption += f": {gate.outcome}"
    html, plain = table(columns, rows, caption)
    reasons = list(gate.reasons) if decides or gate.outcome == "invalid" else []
    needed = [
        f"{each.metric}: about {each.n_needed:,} samples would decide"
        for each in gate.metrics
        if each.outcome == "inconclusive" and each.n_needed
    ]
    told = [one_line(text, _LINE) for text in [*reasons, *needed]] if decides else reasons
    margins = [f"{each.metric} {each.margin:g}" for each in gate.metrics if each.margin]
    if margins:
        told = [*told, f"Margin (p is of a loss of just that): {', '.join(margins)}"]
    facts = {"current": current, "baseline": baseline, **gate.as_dict()}
    listed, _ = _lines(told)
    return view("\n".join([html, *listed]), "\n".join([plain, *map(printable, told)]), facts)


def interval_text(interval: Interval | None, *, signed: bool = False) -> str | None:
    """Return an interval as ``0.764 to 0.853``; None where there is none or it has no bounds."""
    if interval is None or not isfinite(interval.low) or not isfinite(interval.high):
        return None
    low, high = _number(interval.low, signed=signed), _number(interval.high, signed=signed)
    return f"{low} to {high}"


def change_of(metric: MetricGate, alpha: float) -> str:
    """Return what was proved of a difference, in words: a difference seen is not yet one."""
    if metric.outcome in ("invalid", "budget"):
        return "not comparable"
    p = metric.p if metric.p_holm is None else metric.p_holm
    if metric.delta is None or p is None:
        return "too few pairs"
    if p <= alpha and metric.delta.high < 0:
        return "worse"
    if p <= alpha and metric.delta.low > 0:
        return "better"
    return "none proved"


def _caption(report: Report, judge: str, run: RunLike, *, stable: bool) -> str:
    samples = "1 sample" if report.samples == 1 else f"{count(report.samples)} samples"
    facts = [f"Judge {judge}: {samples}"]
    if report.problems:
        facts.append(f"{count(sum(report.problems.values()))} rows left out")
    if run.calls:
        book = " simulated" if run.simulated else ""
        facts.append("1 call" if run.calls == 1 else f"{count(run.calls)} calls")
        facts.append(f"{nano_dollars(run.usd_nano)}{book}")
    if run.resumed:
        facts.append(f"{count(run.resumed)} scores known")
    if not stable:
        facts.append(seconds(run.seconds))
    return " · ".join(facts)


def _reasons(metric: MetricReport) -> str | None:
    reasons: Mapping[str, int] = metric.unscored
    if metric.abstained:
        reasons = {**reasons, "abstained": metric.abstained}
    return ", ".join(f"{number} {why}" for why, number in reasons.items()) or None


def _verdicts(metric: MetricReport) -> list[tuple[Any, ...]]:
    return [
        (each.verdict, each.text, each.evidence or None)
        for worst in metric.worst
        for each in worst.verdicts[:_VERDICTS]
    ]


def _below(report: Report, notes: Sequence[str]) -> tuple[list[str], list[str]]:
    told = []
    for each in report.metrics:
        if each.jury is not None:
            alpha = _number(each.jury.alpha.estimate if each.jury.alpha else None) or UNKNOWN
            span = interval_text(each.jury.alpha)
            decided = f", {each.jury.escalated} decided by {each.jury.judge}"
            told.append(
                f"{each.metric}: {len(each.jury.members)} judges, Krippendorff's alpha {alpha}"
                f"{f' ({span})' if span else ''}, {each.jury.split} of {each.jury.votes} votes "
                f"split{decided if each.jury.judge else ''}"
            )
        found = each.calibration
        if found.state == "calibrated" and found.corrected is not None:
            told.append(
                f"{each.metric}: {found.labels} labels, kappa "
                f"{_number(found.kappa.estimate) if found.kappa else UNKNOWN}, mean corrected by "
                f"them {found.corrected.estimate:.3f} ({interval_text(found.corrected)})"
            )
        elif found.state == "too few labels":
            told.append(
                f"{each.metric}: {found.labels} label{'s' * (found.labels != 1)} by people, "
                f"{found.needed} more are needed to call it calibrated"
            )
    return _lines([*told, *notes])


def _lines(told: Sequence[str]) -> tuple[list[str], list[str]]:
    return [f"<p>{markup(each)}</p>" for each in told], [printable(each) for each in told]


def _p_value(p: float | None) -> str | None:
    return "<0.001" if p is not None and p < 0.001 else _number(p)


def _number(value: float | None, *, signed: bool = False) -> str | None:
    if value is None or not isfinite(value):
        return None
    value = round(value, 3) + 0.0  # what rounds to 0 has no sign of its own
    return f"{value:+.3f}" if signed else f"{value:.3f}"
