"""The report as JUnit XML: one test case for each metric."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from llmops_kernel.judge.report.figures import clean, cost, counts, p_value, share, spread

if TYPE_CHECKING:
    from llmops_kernel.judge.gate import MetricGate
    from llmops_kernel.judge.report.model import MetricReport, Report

_CLASS = "llmops.judge"
# CI shows both as red; a failure speaks of the change, an error of the run.
_ELEMENT = {
    "regression": "failure",
    "inconclusive": "failure",
    "invalid": "error",
    "budget": "error",
}


def to_junit(report: Report) -> str:
    """Return a report as JUnit XML.

    Each gated metric is a test case: a regression or an undecided one is a failure, an invalid run
    or one that a cap cut short an error; an advisory one that did not pass is skipped. Metrics
    without a gate are test cases that pass. Counts, means and cost are properties of the suite.
    """
    suite = ET.Element("testsuite", name=clean(report.title))
    if report.created:
        suite.set("timestamp", clean(report.created))
    _properties(suite, report)
    gated = {each.metric: each for each in report.gate.metrics} if report.gate else {}
    measured = {each.metric: each for each in report.metrics}
    found = {"failure": 0, "error": 0, "skipped": 0}
    for name in dict.fromkeys([*gated, *measured]):
        kind = _case(suite, name, gated.get(name), measured.get(name))
        if kind:
            found[kind] += 1
    if report.gate and not gated:
        found["error"] += 1
        case = ET.SubElement(suite, "testcase", classname=_CLASS, name="gate", time="0")
        ET.SubElement(case, "error", type=report.gate.outcome, message=_joined(report.gate.reasons))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(found["failure"]))
    suite.set("errors", str(found["error"]))
    suite.set("skipped", str(found["skipped"]))
    suite.set("time", "0")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _case(
    suite: ET.Element, name: str, gate: MetricGate | None, measured: MetricReport | None
) -> str | None:
    """Add a test case and return what became of it; None where it passes."""
    case = ET.SubElement(suite, "testcase", classname=_CLASS, name=clean(name), time="0")
    kind = _ELEMENT.get(gate.outcome) if gate else None
    if gate and kind:
        kind = "skipped" if gate.advisory else kind
        element = ET.SubElement(case, kind, message=_joined(gate.reasons))
        if kind != "skipped":
            element.set("type", gate.outcome)
            element.text = _figures(gate)
    said = ET.SubElement(case, "system-out")
    lines = [_figures(gate)] if gate else []
    if measured:
        lines.append(
            f"scored {measured.scored} of {measured.samples}, "
            f"unscored {counts(dict(measured.unscored))}, abstained {measured.abstained}, "
            f"mean {spread(measured.mean)}, {measured.calibration.state}"
        )
    said.text = clean("\n".join(lines))
    return kind


def _properties(suite: ET.Element, report: Report) -> None:
    facts = {
        "samples": str(report.samples),
        "problems": counts(dict(report.problems)),
        "calls": str(report.calls),
        "cost": cost(report.usd_nano, report.simulated_nano),
    }
    if report.gate:
        facts["outcome"] = report.gate.outcome
        facts["exit_code"] = str(report.gate.exit_code)
    for each in report.metrics:
        facts[f"{each.metric}.mean"] = spread(each.mean)
        facts[f"{each.metric}.scored"] = str(each.scored)
        facts[f"{each.metric}.unscored"] = counts(dict(each.unscored))
        facts[f"{each.metric}.abstained"] = str(each.abstained)
    box = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(box, "property", name=clean(name), value=clean(value))


def _figures(gate: MetricGate) -> str:
    open_ = gate.outcome == "inconclusive" and gate.n_needed
    needed = f", needs about {gate.n_needed} samples" if open_ else ""
    return (
        f"{gate.outcome}: n {gate.n}, difference {spread(gate.delta, signed=True)}, "
        f"p {p_value(gate.p)} (Holm {p_value(gate.p_holm)}), "
        f"smallest detectable difference {share(gate.mde)}{needed}"
    )


def _joined(reasons: tuple[str, ...]) -> str:
    return clean("; ".join(reasons))
