"""A judge beside people: the corrected mean holds the truth, biases are seen, advice is kept."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge import Sample, Score, build_report
from llmops_kernel.judge.calibration import (
    advise,
    calibrate,
    length_bias,
    pair_length_bias,
    position_bias,
)
from llmops_kernel.judge.labelling import label, labelled, make_queue
from llmops_kernel.judge.report import to_html

TRUTH, SENSITIVITY, SPECIFICITY = 0.72, 0.95, 0.55


def world(seed, n=500, labels=100):
    """Answers with a known truth, a judge with known errors, and some labels that are right."""
    draw = random.Random(seed)
    good = [draw.random() < TRUTH for _ in range(n)]
    said = [draw.random() < (SENSITIVITY if is_good else 1 - SPECIFICITY) for is_good in good]
    chosen = set(draw.sample(range(n), labels))
    samples = [
        Sample(f"s{i}", "q", "a" * draw.randint(20, 300),
               human={"correctness": {"score": float(good[i])}} if i in chosen else {})
        for i in range(n)
    ]  # fmt: skip
    scores = [Score(f"s{i}", "correctness", "j", float(each)) for i, each in enumerate(said)]
    return samples, scores, sum(good) / n


def test_the_judge_is_wrong_and_the_corrected_mean_is_not():
    samples, scores, truth = world(1)
    found = calibrate(samples, scores, "correctness")
    assert found.state == "calibrated"
    assert (found.labels, found.scored) == (100, 500)
    assert found.raw.low > truth  # its interval is of its own spread, not of its errors
    assert found.corrected.low < truth < found.corrected.high
    assert found.cross_check.low < truth < found.cross_check.high
    assert found.sensitivity.low < SENSITIVITY < found.sensitivity.high
    assert found.specificity.low < SPECIFICITY < found.specificity.high
    assert sum(found.confusion.values()) == 100
    assert 0.3 < found.kappa.estimate < 0.75
    assert found.judges == ("j",)
    json.dumps(found.as_dict())


def test_corrected_intervals_hold_the_truth_as_often_as_they_say():
    held = raw = 0
    for seed in range(200):
        samples, scores, _ = world(seed, n=300, labels=60)
        found = calibrate(samples, scores, "correctness")
        held += found.corrected.low <= TRUTH <= found.corrected.high
        raw += found.raw.low <= TRUTH <= found.raw.high
    assert held >= 182  # 95 % of 200 is 190; 182 is 2.6 standard errors below
    assert raw <= 20


def test_labels_from_a_queue_correct_the_mean(tmp_path):
    held = 0
    for seed in range(20):
        known, scores, truth = world(seed, labels=500)
        verdict = {s.id: str(int(s.human["correctness"]["score"])) for s in known}
        samples = [replace(each, human={}) for each in known]
        judged = {s.sample_id: s.value for s in scores}
        queue = make_queue(samples, "correctness", n=80, scores=judged, seed=seed)
        path = tmp_path / f"{seed}.jsonl"
        label(queue, {item.sample_id: verdict[item.sample_id] for item in queue.items}, path=path)
        found = calibrate(labelled(samples, path).samples, scores, "correctness")
        assert found.labels == 80
        held += found.corrected.low <= truth <= found.corrected.high
    assert held >= 17


def test_without_labels_it_says_so():
    samples, scores, _ = world(1, labels=0)
    found = calibrate(samples, scores, "correctness")
    assert found.state == "uncalibrated"
    assert found.corrected is None
    assert found.raw.estimate > 0.7
    assert found.lengths.correlation is not None
    assert found.advice == ()
    report = build_report(samples, scores)
    assert "Uncalibrated" in to_html(report)


def test_a_report_shows_the_corrected_mean_once_there_are_labels():
    samples, scores, _ = world(1)
    report = build_report(samples, scores)
    (metric,) = report.metrics
    page = to_html(report)
    assert "Uncalibrated" not in page
    assert f"{metric.calibration.corrected.estimate:.3f}" in page
    assert "Specificity" in page
    assert metric.calibration.corrected == calibrate(samples, scores, "correctness").corrected


def test_a_judge_that_tells_nothing_gets_no_cross_check():
    draw = random.Random(77)
    samples, _, truth = world(2)
    scores = [Score(s.id, "correctness", "j", float(draw.random() < 0.8)) for s in samples]
    found = calibrate(samples, scores, "correctness")
    assert found.cross_check is None
    assert "tells too little" in found.note
    assert found.corrected.low < truth < found.corrected.high


def test_grades_get_a_quadratic_kappa():
    draw = random.Random(4)
    grades = [draw.randint(0, 4) / 4 for _ in range(120)]
    samples = [
        Sample(f"s{i}", "q", "a", human={"tone": {"score": each}} if i < 60 else {})
        for i, each in enumerate(grades)
    ]
    scores = [
        Score(f"s{i}", "tone", "j", min(1.0, max(0.0, each + draw.choice([-0.25, 0, 0, 0.25]))))
        for i, each in enumerate(grades)
    ]
    found = calibrate(samples, scores, "tone")
    assert "quadratic" in found.kappa.method
    assert found.kappa.estimate > 0.8
    assert found.sensitivity is None
    assert found.cross_check is None


def test_one_label_or_all_labels():
    samples, scores, _ = world(1, labels=1)
    found = calibrate(samples, scores, "correctness")
    assert (found.labels, found.corrected, found.advice) == (1, None, ())
    assert "two labelled" in found.note
    everything = calibrate(*world(1, n=50, labels=50)[:2], "correctness")
    assert everything.corrected is None
    assert everything.human_mean is not None


def test_wrong_names_and_scales():
    samples, scores, _ = world(1)
    with pytest.raises(UsageProblem, match="no score of correctnes"):
        calibrate(samples, scores, "correctnes")
    with pytest.raises(UsageProblem, match="half width"):
        calibrate(samples, scores, "correctness", within=(2,))
    odd = [Sample("s0", "q", "a", human={"correctness": {"score": 7}})]
    found = calibrate(odd, scores[:1], "correctness")
    assert (found.state, found.labels) == ("uncalibrated", 1)
    assert "scale" in found.note


def test_advice_is_kept():
    """As many labels as advised give an interval of about the width that was wished."""
    samples, scores, _ = world(8, n=2000, labels=400)
    found = calibrate(samples, scores, "correctness", within=(0.06,))
    (advice,) = found.advice
    assert advice.labels < advice.alone
    widths = []
    for seed in range(20):
        given, judged, _ = world(100 + seed, n=2000, labels=advice.labels)
        corrected = calibrate(given, judged, "correctness").corrected
        widths.append((corrected.high - corrected.low) / 2)
    assert sum(widths) / len(widths) == pytest.approx(0.06, abs=0.008)


def test_advice_knows_what_labels_cannot_do():
    human, judge = [1.0, 0.0, 1.0, 1.0] * 10, [1.0, 0.0, 0.0, 1.0] * 10
    few, many = (advise(human, judge, total, (0.05,))[0] for total in (60, 5000))
    assert few.labels is None
    assert 0 < many.labels < many.alone


def test_labels_without_spread_promise_nothing():
    samples, scores, _ = world(3, n=40, labels=0)
    for each in samples[:5]:
        each.human["correctness"] = {"score": 1.0}
    found = calibrate(samples, scores, "correctness")
    assert found.labels == 5
    assert found.advice == ()


def test_a_judge_that_likes_length_is_seen():
    draw = random.Random(0)
    lengths = [draw.uniform(50, 500) for _ in range(400)]
    human = [float(draw.random() < 0.5) for _ in lengths]
    lover = [float(draw.gauss(each, 60) > 275) for each in lengths]
    fair = [each if draw.random() < 0.85 else 1 - each for each in human]
    biased = length_bias(lover, lengths, human)
    assert biased.error_correlation.low > 0.2
    just = length_bias(fair, lengths, human)
    assert just.error_correlation.low < 0 < just.error_correlation.high
    assert just.matched == pytest.approx(just.separation, abs=0.05)


def test_separation_by_length_alone_falls_at_equal_length():
    """Good answers are longer here, and the judge only counts characters."""
    draw = random.Random(0)
    human = [float(draw.random() < 0.5) for _ in range(600)]
    lengths = [draw.uniform(200, 500) if good else draw.uniform(50, 350) for good in human]
    found = length_bias([length / 500 for length in lengths], lengths, human)
    assert found.separation > 0.85
    assert found.matched < 0.62
    assert found.matched_pairs > 100


def pair(number, forward, backward):
    value = forward if forward == backward else 0.5
    detail = {"forward": forward, "backward": backward, "consistent": forward == backward}
    return Score(f"s{number}", "pairwise", "j", value, detail=detail)


def test_a_judge_that_follows_position_is_seen():
    scores = [pair(n, 1.0, 0.0) for n in range(12)] + [pair(n, 1.0, 1.0) for n in range(12, 40)]
    found = position_bias(scores)
    assert (found.pairs, found.first, found.second) == (40, 12, 0)
    assert found.consistent.estimate == pytest.approx(0.7)
    assert found.p == pytest.approx(2 / 2**12)
    fair = [pair(n, float(n % 2), float(1 - n % 2)) for n in range(12)]
    assert position_bias(fair).p == 1.0
    assert position_bias([Score("1", "m", "j", 1.0)]) is None


def test_the_longer_answer_of_a_pair():
    values = [1.0] * 30 + [0.0] * 10 + [0.5] * 5
    own, other = [200.0] * 40 + [100.0] * 5, [100.0] * 40 + [101.0] * 5
    found = pair_length_bias(values, own, other)
    assert found.longer_wins.estimate == pytest.approx(0.75)
    assert found.matched.estimate == 0.5
    assert found.matched_pairs == 5
    assert pair_length_bias([], [], []) is None


def test_pairs_are_calibrated():
    scores = [pair(n, 1.0, 1.0 if n % 3 else 0.0) for n in range(30)]
    samples = [
        Sample(f"s{n}", "q", "long answer", extra={"response_b": "short"},
               human={"pairwise": {"score": 1.0 if n % 3 else 0.0}} if n < 15 else {})
        for n in range(30)
    ]  # fmt: skip
    found = calibrate(samples, scores, "pairwise")
    assert found.positions.first == 10
    assert found.pair_lengths.longer_wins.estimate == 1.0
    assert found.lengths is None
    assert found.corrected is not None
