"""The report as one HTML page that stands alone: nothing is fetched, nothing runs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from llmops_kernel.judge.cells import COMPUTED
from llmops_kernel.judge.judges.offline import SIGNALS, measured_line
from llmops_kernel.judge.report.calibrated import calibration_rows, jury_line
from llmops_kernel.judge.report.figures import clean, cost, counts, p_value, share, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.report.changes import Change
    from llmops_kernel.judge.report.model import MetricReport, Report, WorstSample

_SHOWN = 2_000  # characters of a question, answer or verdict
# Colours of the system follow its light or dark mode by themselves.
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
background:Canvas;color:CanvasText}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem;display:block;overflow-x:auto}
th,td{border-bottom:1px solid GrayText;padding:.3rem .6rem;text-align:left;vertical-align:top}
td:last-child{min-width:9rem}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.badge{border:2px solid currentColor;border-radius:.4rem;padding:.05rem .5rem;font-weight:600}
.pass{border-color:#1a8a4a}.inconclusive{border-color:#b26a00}
.regression,.invalid,.budget{border-color:#c62828}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0;font:inherit}
details{border:1px solid GrayText;border-radius:.4rem;padding:.3rem .7rem;margin:.4rem 0}
summary{cursor:pointer}
""".strip()
_P = "p is of a loss that is just the margin: it is small where the loss is clearly another."
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_html(report: Report) -> str:
    """Return a report as an HTML page.

    All text of samples and judges is escaped, and the page forbids scripts and fetching, whatever
    a judged answer holds.
    """
    title = _text(report.title)
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>",
        f"<h1>{title}</h1>",
        f"<p>{_summary(report)}</p>",
    ]
    if report.gate:
        parts.append(_gate(report.gate))
    parts.extend(_changed(report.changed))
    parts.append("<h2>Metrics</h2>")
    parts.append(_overview(report.metrics))
    parts.extend(_metric(each) for each in report.metrics)
    parts.append("</body>\n</html>\n")
    return "\n".join(parts)


def _summary(report: Report) -> str:
    facts = [
        f"{report.samples} samples",
        f"{report.calls} judge calls",
        cost(report.usd_nano, report.simulated_nano),
    ]
    if report.problems:
        facts.append(f"rows left out: {counts(dict(report.problems))}")
    if report.created:
        facts.append(report.created)
    return " · ".join(_text(each) for each in facts)


def _gate(gate: GateResult) -> str:
    rows = [
        (
            each.metric,
            each.outcome + (" (advisory)" if each.advisory else ""),
            str(each.n),
            share(each.baseline_mean),
            share(each.mean.estimate if each.mean else None),
            spread(each.delta, signed=True),
            share(each.margin),
            p_value(each.p if each.p_holm is None else each.p_holm),
            share(each.mde or None),  # no spread at all tells nothing of what could be seen
            f"{each.n_needed:,}" if each.n_needed and each.outcome == "inconclusive" else "-",
            "; ".join(each.reasons),
        )
        for each in gate.metrics
    ]
    head = ("Metric", "Outcome", "n", "Before", "Now", "Difference", "Margin", "p (Holm)",
            "Detectable", "n needed", "Why")  # fmt: skip
    badge = f'<span class="badge {_text(gate.outcome)}">{_text(gate.outcome)}</span>'
    policy = f"policy {gate.config.policy}, exit code {gate.exit_code}"
    reasons = "" if rows else f"<p>{_text('; '.join(gate.reasons))}</p>"
    table = _table(head, rows, range(2, 10)) if rows else ""
    told = f"<p>{_P}</p>" if any(each.margin for each in gate.metrics) else ""
    planned = "".join(f"<li>{_text(each.sentence)}.</li>" for each in gate.plan)
    planned = f"<p>Known before the run:</p>\n<ul>{planned}</ul>\n" if planned else ""
    return f"<h2>Gate {badge}</h2>\n<p>{_text(policy)}</p>\n{planned}{reasons}{table}{told}"


def _changed(changes: Sequence[Change]) -> list[str]:
    """Return the answers that changed most, by metric."""
    parts = ["<h2>Answers that changed most</h2>"] if changes else []
    metric = ""
    for each in changes:
        if each.metric != metric:
            metric = each.metric
            parts.append(f"<h3>{_text(metric)}</h3>")
        head = f"{each.difference:+.3f}: {share(each.before)} before, {share(each.after)} now"
        parts.append(f"<details>\n<summary>{_text(f'{head} · {each.id}')}</summary>")
        shown = [
            ("Question", each.user_input),
            ("Answer before", each.answer_before),
            ("Answer now", each.answer_after),
            ("Reason before", each.reason_before),
            ("Reason now", each.reason_after),
        ]
        parts += [f"<p>{name}</p><pre>{_text(text)}</pre>" for name, text in shown if text]
        parts.append("</details>")
    return parts


def _overview(metrics: Sequence[MetricReport]) -> str:
    rows = [
        (
            each.metric,
            ", ".join(each.judges),
            spread(each.mean),
            spread(each.calibration.corrected if _calibrated(each) else None),
            f"{each.scored} of {each.samples}",
            counts(dict(each.unscored)),
            str(each.abstained),
            str(each.calls),
            cost(each.usd_nano, each.simulated_nano),
            each.calibration.state,
        )
        for each in metrics
    ]
    head = ("Metric", "Judge", "Mean [interval]", "Corrected by labels", "Scored", "Unscored",
            "Abstained", "Calls", "Cost", "Calibration")  # fmt: skip
    return _table(head, rows, (2, 3, 4, 6, 7, 8))


def _metric(metric: MetricReport) -> str:
    parts = [f"<h3>{_text(metric.metric)}</h3>"]
    parts.append(_calibration(metric))
    if metric.mean:
        facts = f"interval: {metric.mean.method}, {metric.mean.clusters} independent groups"
        if metric.length_correlation is not None:
            facts += f" · correlation with the answer's length: {metric.length_correlation:+.2f}"
        parts.append(f"<p>{_text(facts)}</p>")
    if metric.metric in SIGNALS:
        parts.append(f"<p>{_text(measured_line(metric.metric))}</p>")
    if metric.jury:
        parts.append(f"<p>{_text(jury_line(metric.jury))}</p>")
    worst = [each for each in metric.worst if each.value < 1]
    if worst:
        parts.append(f"<h4>Lowest {len(worst)} scores</h4>" if len(worst) > 1 else
                     "<h4>Lowest score</h4>")  # fmt: skip
        parts.extend(_worst(each) for each in worst)
    elif metric.scored:
        parts.append("<p>No score is under 1.</p>")
    return "\n".join(parts)


def _calibration(metric: MetricReport) -> str:
    """Return the table of what people's labels say, or that there are none."""
    found = metric.calibration
    if found.state == "uncalibrated" and metric.judges == (COMPUTED,):
        return "<p>Computed: no judge was asked.</p>"
    if found.state == "uncalibrated":
        badge = '<span class="badge">Uncalibrated</span>'
        return f"<p>{badge} {_text(found.note)}: the mean is the judge's word alone.</p>"
    head = ("By people's labels", "Value [interval]")
    table = _table(head, calibration_rows(found), (1,))
    badge = "" if _calibrated(metric) else '<span class="badge">Too few labels</span> '
    note = f"<p>{badge}{_text(found.note)}</p>" if found.note else ""
    return f"<h4>Calibration: {found.labels} labels</h4>\n{table}{note}"


def _calibrated(metric: MetricReport) -> bool:
    return metric.calibration.state == "calibrated"


def _worst(sample: WorstSample) -> str:
    head = f"{share(sample.value)} · {sample.id}"
    if sample.trace_id:
        head += f" · trace {sample.trace_id}"
    parts = [
        f"<details>\n<summary>{_text(head)}</summary>",
        f"<p>Question</p><pre>{_text(sample.user_input)}</pre>",
        f"<p>Answer</p><pre>{_text(sample.response)}</pre>",
    ]
    if sample.reason:
        parts.append(f"<p>Reason</p><pre>{_text(sample.reason)}</pre>")
    if sample.verdicts:
        rows = [(each.verdict, each.text, each.evidence) for each in sample.verdicts]
        parts.append(_table(("Verdict", "Claim or passage", "Evidence"), rows, ()))
    return "\n".join([*parts, "</details>"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int]) -> str:
    """Return a table; ``numeric`` has the places of columns of figures."""
    figures = set(numeric)
    top = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="n">{_text(each)}</td>' if place in figures else f"<td>{_text(each)}</td>"
            for place, each in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _text(text: str) -> str:
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text) - _SHOWN} more)"
    return escape(clean(cut))
