"""Reports: what they say, and that no text of a sample can break them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from llmops_kernel.display.judge import comparison_view
from llmops_kernel.judge import GateConfig, Sample, Score, Verdict, build_report, decide
from llmops_kernel.judge.metrics import metrics_of
from llmops_kernel.judge.report import to_html, to_json, to_junit

NASTY = '</pre><script>alert(1)</script><img src="http://x.test/a.png">\x00\x1b[31m\ud800 & "q" ]]>'


def sample(number, *, human=None, response="An answer."):
    return Sample(
        f"s{number}", f"Question {number}?", response, trace_id=f"t{number}", human=human or {}
    )


def score(number, value, *, unscored=None, simulated=True, reason="", metric="faithfulness[ragas]"):
    return Score(
        f"s{number}",
        metric,
        "judge-1",
        value,
        unscored,
        verdicts=(Verdict("The fee is 5.", "contradicted", "The fee is 6."),),
        reason=reason,
        calls=1,
        usd_nano=2_000_000,
        simulated=simulated,
        fingerprint="f",
    )


@pytest.fixture
def report():
    samples = [sample(n, response="word " * (n + 1)) for n in range(30)]
    scores = [score(n, n / 29) for n in range(26)]
    scores += [score(26, None, unscored="parse"), score(27, None, unscored="error")]
    scores += [score(28, None, unscored="abstained"), score(29, None, unscored="parse")]
    return build_report(samples, scores, problems={"not JSON": 2}, title="Bank", created="2026")


def test_what_a_report_counts(report):
    (metric,) = report.metrics
    assert (metric.samples, metric.scored, metric.abstained) == (30, 26, 1)
    assert metric.unscored == {"parse": 2, "error": 1}
    assert metric.mean.estimate == pytest.approx(sum(n / 29 for n in range(26)) / 26)
    assert (metric.usd_nano, metric.simulated_nano, report.calls) == (0, 60_000_000, 30)
    assert [each.id for each in metric.worst] == [f"s{n}" for n in range(10)]
    assert metric.worst[0].verdicts[0].verdict == "contradicted"
    assert metric.length_correlation == pytest.approx(1)
    assert metric.calibration.state == "uncalibrated"


def test_labels_calibrate():
    draw = np.random.default_rng(2)
    truth = (draw.random(200) < 0.6).astype(float)
    said = np.clip(truth * 0.5 + 0.4 + draw.normal(0, 0.05, 200), 0, 1)  # too kind, but it knows
    samples = [
        sample(n, human={"faithfulness": {"label": "yes" if truth[n] else "no"}} if n < 60 else {})
        for n in range(200)
    ]
    found = build_report(samples, [score(n, said[n]) for n in range(200)]).metrics[0]
    assert found.calibration.state == "calibrated"
    assert found.calibration.labels == 60
    assert found.mean.low > truth.mean()  # the judge's own mean is wrong, and sure of it
    assert found.calibration.corrected.low < truth.mean() < found.calibration.corrected.high
    assert found.calibration.kappa is not None


def test_what_cannot_be_corrected_is_said():
    samples = [sample(n, human={"faithfulness": {"score": 1}}) for n in range(4)]
    found = build_report(samples, [score(n, 0.9) for n in range(4)]).metrics[0].calibration
    assert found.corrected is found.cross_check is found.kappa is None
    assert "two other samples" in found.note
    assert "both classes" in found.note
    off = [sample(0, human={"faithfulness": {"score": 4}})]
    note = build_report(off, [score(0, 0.9)]).metrics[0].calibration
    assert (note.state, note.labels) == ("uncalibrated", 1)
    assert "scale" in note.note


def test_grades_are_compared_with_quadratic_weights():
    samples = [sample(n, human={"faithfulness": {"score": (n % 5) / 4}}) for n in range(10)]
    found = build_report(samples, [score(n, (n % 5) / 4) for n in range(10)]).metrics[0]
    assert found.calibration.kappa.estimate == 1
    assert found.calibration.cross_check is None


def test_nothing_scored_is_a_report_too():
    found = build_report([sample(0)], [score(0, None, unscored="budget")])
    assert found.metrics[0].mean is None
    assert "budget" in to_html(found)
    assert json.loads(to_json(found))["metrics"][0]["mean"] is None
    empty = build_report([], [])
    assert ET.fromstring(to_junit(empty).encode())[0].get("tests") == "0"
    assert "0 samples" in to_html(empty)


def test_json_is_plain_and_whole(report):
    data = json.loads(to_json(report))
    assert data["metrics"][0]["worst"][0]["verdicts"][0]["evidence"] == "The fee is 6."
    assert data["totals"] == {"calls": 30, "usd_nano": 0, "simulated_nano": 60_000_000}
    assert data["problems"] == {"not JSON": 2}


def gate_of(shift, n=40, **options):
    values = np.linspace(0.4, 0.9, n)
    before = [score(k, value) for k, value in enumerate(values)]
    now = [score(k, value + shift + 0.01 * (-1) ** k) for k, value in enumerate(values)]
    samples = [sample(k) for k in range(n)]
    gate = decide(now, before, GateConfig(**options))
    return build_report(samples, now, gate=gate)


@pytest.mark.parametrize(
    ("shift", "n", "options", "kind"),
    [
        (0.0, 40, {}, None),
        (-0.2, 40, {}, "failure"),
        (-0.2, 10, {}, "failure"),
        (0.0, 40, {"margins": {"other": 0.0}}, "error"),
        (-0.2, 40, {"advisory": ("faithfulness[ragas]",)}, "skipped"),
    ],
)
def test_junit_has_a_case_for_each_gate(shift, n, options, kind):
    report = gate_of(shift, n, **options)
    suite = ET.fromstring(to_junit(report).encode())[0]
    case = suite.find("testcase")
    assert case.get("name") == ((options.get("margins") and "other") or "faithfulness[ragas]")
    found = [each.tag for each in case if each.tag != "system-out"]
    assert found == ([kind] if kind else [])
    assert suite.get("tests") == str(len(suite.findall("testcase")))
    assert suite.get("failures") == str(int(kind == "failure"))
    assert suite.get("errors") == str(int(kind == "error"))
    assert suite.get("skipped") == str(int(kind == "skipped"))
    facts = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert facts["exit_code"] == str(report.gate.exit_code)
    assert facts["faithfulness[ragas].scored"] == str(n)


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.open = set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "action"}]
        self.links += [name for name, _ in attrs if name.startswith("on")]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone_whatever_it_shows():
    samples = [Sample("s0" + NASTY, NASTY, NASTY, trace_id=NASTY)]
    scores = [
        Score(
            "s0" + NASTY, NASTY, NASTY, 0.1, verdicts=(Verdict(NASTY, NASTY, NASTY),), reason=NASTY
        )
    ]
    gate = decide(scores, scores)
    report = build_report(samples, scores, gate=gate, title=NASTY, problems={NASTY: 1})
    html = to_html(report)
    page = _Page()
    page.feed(html)
    assert page.open == []
    assert not page.links
    assert not page.tags & {"script", "img", "link", "iframe", "object", "form"}
    assert "url(" not in html
    assert "@import" not in html
    assert "color-scheme:light dark" in html
    html.encode()  # no half of a surrogate pair is left
    assert ET.fromstring(to_junit(report).encode())[0].get("tests") == "1"
    assert json.loads(to_json(report))["title"] == NASTY


def test_long_texts_are_cut_on_the_page():
    html = to_html(build_report([sample(0, response="x" * 1_000_000)], [score(0, 0.5)]))
    assert len(html) < 20_000
    assert "more)" in html


def test_the_page_shows_gate_and_calibration():
    html = to_html(gate_of(-0.2))
    assert '<span class="badge regression">regression</span>' in html
    assert "exit code 1" in html
    assert "uncalibrated" in html
    assert "simulated" in html


def test_forms_tell_samples_needed_only_where_nothing_was_decided():
    decided = gate_of(-0.2)
    assert decided.gate.metrics[0].n_needed is not None
    assert "needs about" not in to_junit(decided)
    undecided = gate_of(0.0, must_detect=1e-4)
    assert undecided.gate.outcome == "inconclusive"
    assert "needs about" in to_junit(undecided)


def test_the_page_calls_no_perfect_score_low_and_no_figure_a_judgement():
    samples = [sample(n) for n in range(3)]
    perfect = [Score(f"s{n}", "recall@5", "computed", 1.0) for n in range(3)]
    html = to_html(build_report(samples, perfect))
    assert "No score is under 1" in html
    assert "no judge was asked" in html
    assert "the judge's word" not in html


def test_the_page_shows_how_good_a_heuristic_is():
    scores = [Score("s0", "lexical_support", "offline-heuristic@2", 0.5)]
    assert "balanced accuracy 0.87" in to_html(build_report([sample(0)], scores))


def test_a_comparison_names_its_margin_and_has_no_minus_zero():
    def shown(margin):
        now = [score(k, 0.5 - 1e-17) for k in range(30)]
        before = [score(k, 0.5) for k in range(30)]
        gate = decide(now, before, GateConfig(margins={"faithfulness[ragas]": margin}))
        return comparison_view(gate, current="a", baseline="b", decides=True).text

    assert "Margin (p is of a loss of just that): faithfulness[ragas] 0.02" in shown(0.02)
    assert "Margin" not in shown(0.0)
    assert "-0.000" not in shown(0.0)


def test_a_convention_may_be_named_in_full():
    (metric,) = metrics_of(["faithfulness[convention=deepeval]"])
    assert metric.name == "faithfulness[deepeval]"
