"""What the verbs of ``llmops judge`` say of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.runner import RunResult


def run_text(result: RunResult, report: Report, judge: str) -> str:
    """Return a row for each metric with its interval, and why judgements failed."""
    from llmops_kernel.display.judge import interval_text
    from llmops_kernel.display.table import table
    from llmops_kernel.judge.judges.offline import SIGNALS, measured_line
    from llmops_kernel.judge.results import counts, failures

    spans = {each.metric: interval_text(each.mean) for each in report.metrics}
    rows = []
    for name, each in counts(result.scores).items():
        mean = "-" if each["mean"] is None else f"{each['mean']:.3f}"
        left = ", ".join(f"{count} {why}" for why, count in each["unscored"].items()) or "-"
        rows.append([name, mean, spans.get(name) or "-", str(each["scored"]), left])
    book = " (simulated)" if result.simulated else ""
    caption = (
        f"judge {judge}: {result.calls:,} calls, ${result.usd:.4f}{book}, {result.seconds:.1f} s"
    )
    if result.resumed:
        caption += f", {result.resumed:,} scores known from the journal"
    if report.problems:
        rows_left = sum(report.problems.values())
        caption += f", {rows_left:,} row{'s' * (rows_left != 1)} left out"
    columns = ["metric", "mean", "95 % interval", "scored", "unscored"]
    lines = [table(columns, rows, caption=caption)[1], *failures(result.scores)]
    shown = {score.metric for score in result.scores}
    lines += [f"{name}: {measured_line(name)}" for name in SIGNALS if name in shown]
    return "\n".join(lines)


def by_people(report: Report) -> list[str]:
    """Return a line for each metric that people labelled or a jury voted on."""
    from llmops_kernel.judge.report.calibrated import jury_line
    from llmops_kernel.judge.report.figures import spread

    lines = []
    for each in report.metrics:
        found = each.calibration
        if found.state == "calibrated" and found.corrected is not None:
            lines.append(
                f"{each.metric}: {found.labels} labels by people, mean corrected by them "
                f"{spread(found.corrected)}"
            )
        elif found.state == "too few labels":
            lines.append(
                f"{each.metric}: {found.labels} label{'s' * (found.labels != 1)} by people, "
                f"{found.needed} more are needed to call it calibrated"
            )
        if each.jury is not None:
            lines.append(f"{each.metric}: {jury_line(each.jury)}")
    if not lines:
        lines.append("Uncalibrated: nobody has labelled these answers yet (llmops judge label)")
    return lines
