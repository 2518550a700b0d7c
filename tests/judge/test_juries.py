"""Juries: how far they agree, and a split vote decided by another judge."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import pytest

from llmops_kernel.judge import Jury, Sample, build_report, metrics_of, run
from llmops_kernel.judge.judges.protocol import Ruling
from llmops_kernel.judge.juries import escalate, jury_agreement, split_votes
from llmops_kernel.judge.metrics.criteria import Criteria
from llmops_kernel.judge.report import to_html


class Member:
    """A judge whose score depends on the answer alone; each ask is one call of one cent."""

    loop = None
    simulated = True
    params: ClassVar = {}

    def __init__(self, name, score):
        self.id = name
        self.score = score
        self.asked = []

    async def ask(self, task, *, repeat=0, via=None):
        text = task.messages[-1]["content"]
        self.asked.append(text)
        score = self.score(text)
        if score is None:
            return Ruling(unscored="parse", calls=1, usd_nano=10_000_000, simulated=True)
        data = {"score": score, "reason": f"{self.id} says so"}
        return Ruling(data, calls=1, usd_nano=10_000_000, simulated=True)

    def bound(self, task):
        return 1, 1, 0, 0


METRIC = Criteria("names the fee", label="fee", steps=("look",))
SAMPLES = [Sample(f"s{n}", "q", f"answer {'odd' if n % 2 else 'even'} {n}.") for n in range(10)]


def jury(second=lambda text: 2 if "odd" in text else 10):
    return Jury((Member("a", lambda text: 10), Member("b", second)))


def judge(score=4):
    return Member("expensive", lambda text: score)


def test_agreement_of_members_is_told():
    report = build_report(SAMPLES, run(SAMPLES, [METRIC], jury()).scores)
    (metric,) = report.metrics
    assert metric.jury.members == ("a", "b")
    assert (metric.jury.votes, metric.jury.split, metric.jury.escalated) == (10, 5, 0)
    assert metric.jury.alpha.estimate < 0.3
    page = to_html(report)
    assert "Krippendorff" in page
    assert "5 of 10 votes split" in page
    alike = run(SAMPLES, [METRIC], jury(lambda text: 9)).scores
    assert jury_agreement(alike).split == 0
    assert jury_agreement(run(SAMPLES, [METRIC], judge()).scores) is None


def test_only_split_votes_go_to_the_expensive_judge():
    first = run(SAMPLES, [METRIC], jury())
    expensive = judge()
    assert split_votes(first) == {"criteria[fee]": {f"s{n}" for n in range(1, 10, 2)}}
    found = escalate(first, SAMPLES, [METRIC], expensive)
    assert len(expensive.asked) == 5
    assert all("odd" in text for text in expensive.asked)
    values = {score.sample_id: score.value for score in found.scores}
    assert values == {f"s{n}": 0.4 if n % 2 else 1.0 for n in range(10)}
    assert sum(score.calls for score in found.scores) == 25
    assert sum(score.usd_nano for score in found.scores) == 250_000_000
    assert found.scores[1].detail["jury"] == pytest.approx(0.6)
    assert found.scores[1].reason == "expensive says so"
    (metric,) = build_report(SAMPLES, found.scores).metrics
    assert (metric.jury.escalated, metric.jury.judge) == (5, "expensive")
    assert len(metric.fingerprints) == 1
    assert metric.fingerprints != build_report(SAMPLES, first.scores).metrics[0].fingerprints
    assert metric.judges == (f"{first.scores[0].judge}>expensive",)


def test_a_jury_of_one_mind_costs_nothing_more():
    first = run(SAMPLES, [METRIC], jury(lambda text: 9))
    expensive = judge()
    found = escalate(first, SAMPLES, [METRIC], expensive)
    assert expensive.asked == []
    assert [s.value for s in found.scores] == [s.value for s in first.scores]
    # It might have been asked, so that such runs are compared with each other only.
    assert found.scores[0].fingerprint != first.scores[0].fingerprint
    split = escalate(run(SAMPLES, [METRIC], jury()), SAMPLES, [METRIC], expensive)
    assert {s.fingerprint for s in found.scores} == {s.fingerprint for s in split.scores}


def test_a_vote_that_nobody_decides_stays_the_jurys():
    found = escalate(run(SAMPLES, [METRIC], jury()), SAMPLES, [METRIC], judge(None))
    assert found.scores[1].value == pytest.approx(0.6)
    assert "escalated" not in found.scores[1].detail
    # But it was paid for.
    assert sum(score.usd_nano for score in found.scores) == 250_000_000


def test_the_cap_is_for_both():
    first = run(SAMPLES, [METRIC], jury(), max_usd=Decimal("0.3"))
    expensive = Member("expensive", lambda text: 4)
    seen = []

    async def ask(task, *, repeat=0, via=None):
        seen.append(via.__self__)
        return Ruling(unscored="budget", detail="the cap", fatal=True)

    expensive.ask = ask
    found = escalate(first, SAMPLES, [METRIC], expensive, max_usd=Decimal("0.3"))
    assert seen
    assert all(score.value is not None for score in found.scores)
    assert found.stopped == "the cap"


def test_computed_metrics_have_no_jury():
    (offline,) = metrics_of(["recall@5"])
    given = [Sample("1", "q", "a", retrieved_context_ids=("x",), reference_context_ids=("x",))]
    result = run(given, [offline], jury())
    assert escalate(result, given, [offline], judge()).scores == result.scores
