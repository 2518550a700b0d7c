"""Agreement, detection and correction: published values, and how often intervals cover."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats import (
    auc,
    cohen_kappa,
    detection,
    krippendorff_alpha,
    ppi_mean,
    rogan_gladen,
)

# The worked example of Krippendorff 2011 (four observers, twelve units).
KRIPPENDORFF = [
    [1, 1, None, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [None, 5, 5, 5], [None, None, 1, 1],
    [None, None, 3, None],
]  # fmt: skip


def covers(make, truth, runs=400):
    hits = made = 0
    for seed in range(runs):
        found = make(np.random.default_rng(seed))
        if found is not None:
            made += 1
            hits += found.low <= truth <= found.high
    assert made > 0.9 * runs
    return hits / made


def test_kappa_by_hand():
    # 20 and 15 agreements of 50, chance 0.5: (0.7 - 0.5) / 0.5.
    found = cohen_kappa([1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    assert found.estimate == pytest.approx(0.4)
    # Fleiss, Cohen and Everitt's standard error of this table: 0.127008
    assert found.high - 0.4 == pytest.approx(1.959964 * 0.127008, abs=1e-4)


def test_quadratic_kappa_by_hand():
    # Differences 0, 0, 1, 1 of three grades: 1 - mean(d^2) / mean of all pairs' d^2.
    first, second = [1, 2, 3, 2], [1, 2, 2, 3]
    pairs = [(a - b) ** 2 for a in first for b in second]
    expected = 1 - (2 / 4) / (sum(pairs) / 16)
    assert cohen_kappa(first, second, weights="quadratic").estimate == pytest.approx(expected)


def test_perfect_agreement_is_not_certainty():
    found = cohen_kappa([0, 1] * 5, [0, 1] * 5)
    assert found.estimate == found.high == 1
    assert 0 < found.low < 0.7


def test_kappa_without_variation_is_undefined():
    assert cohen_kappa([1, 1, 1], [1, 1, 1]) is None
    with pytest.raises(UsageProblem):
        cohen_kappa([1], [1, 2])
    with pytest.raises(UsageProblem):
        cohen_kappa([1, 9], [1, 2], labels=[1, 2])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_kappa_is_symmetric_and_bounded(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    for weights in (None, "quadratic"):
        one = cohen_kappa(first, second, weights=weights)
        other = cohen_kappa(second, first, weights=weights)
        assert (one is None) == (other is None)
        if one:
            assert one.estimate == pytest.approx(other.estimate)
            assert -1 <= one.low <= one.estimate + 1e-9
            assert one.estimate - 1e-9 <= one.high <= 1


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_is_that_of_the_worked_example(scale, alpha):
    found = krippendorff_alpha(KRIPPENDORFF, scale=scale, resamples=300)
    assert found.estimate == pytest.approx(alpha, abs=5e-4)
    assert found.n == 11
    assert found.low < alpha <= found.high


def test_alpha_without_variation_is_undefined():
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1, None]]) is None


def test_detection_by_hand():
    found = detection([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.2, 0.1, 0.6, 0.3])
    assert (found.true_positives, found.false_negatives) == (2, 1)
    assert (found.true_negatives, found.false_positives) == (2, 1)
    assert found.balanced_accuracy.estimate == pytest.approx(2 / 3)
    assert found.auc.estimate == pytest.approx(7 / 9)  # 7 of 9 pairs in order
    assert found.as_dict()["accuracy"]["estimate"] == pytest.approx(4 / 6)


def test_detection_of_one_class_has_no_auc():
    found = detection([1, 1], [0.2, 0.9])
    assert found.specificity is found.auc is found.balanced_accuracy is None


def test_auc_counts_ties_half_and_is_never_certain():
    assert auc([1, 1], [1, 1]).estimate == 0.5
    perfect = auc([2, 3, 4], [0, 1])
    assert perfect.estimate == perfect.high == pytest.approx(1)
    assert perfect.low < 0.8


@given(st.lists(st.integers(0, 5), min_size=1, max_size=15),
       st.lists(st.integers(0, 5), min_size=1, max_size=15))  # fmt: skip
def test_auc_is_the_share_of_pairs(good, bad):
    pairs = sum((a > b) + 0.5 * (a == b) for a in good for b in bad)
    found = auc(good, bad)
    assert found.estimate == pytest.approx(pairs / (len(good) * len(bad)))
    assert 0 <= found.low <= found.estimate + 1e-9
    assert found.estimate <= found.high + 1e-9


def test_ppi_by_hand():
    # 0.6 + mean(0.25, -0.25, 0.25, 0.25) = 0.6 + 0.125
    found = ppi_mean([1, 0, 1, 1], [0.75, 0.25, 0.75, 0.75], [0.5, 0.7, 0.6, 0.6], tune=False)
    assert found.estimate == pytest.approx(0.725)


def test_a_useless_judge_does_no_harm():
    draw = np.random.default_rng(0)
    human, noise = (draw.random(60) < 0.7).astype(float), draw.random(60)
    found = ppi_mean(human, noise, draw.random(500))
    labels_only = human.std(ddof=1) / 60**0.5
    assert found.estimate == pytest.approx(human.mean(), abs=0.05)
    assert found.high - found.low < 2.1 * 2.02 * labels_only


def test_a_good_judge_is_worth_labels():
    draw = np.random.default_rng(1)
    truth = (draw.random(1000) < 0.7).astype(float)
    judge = np.clip(truth * 0.7 + 0.2 + draw.normal(0, 0.1, 1000), 0, 1)  # biased, but it knows
    found = ppi_mean(truth[:50], judge[:50], judge[50:])
    assert found.low < 0.7 < found.high
    assert found.high - found.low < 0.6 * 2 * 2.01 * truth[:50].std(ddof=1) / 50**0.5


def test_corrections_refuse_too_little():
    with pytest.raises(UsageProblem):
        ppi_mean([1], [1], [1, 0])
    with pytest.raises(UsageProblem):
        ppi_mean([1, 0], [1, 0, 1], [1, 0])
    poor = {"true_positives": 6, "false_negatives": 4, "true_negatives": 5, "false_positives": 5}
    with pytest.raises(UsageProblem, match="too little"):
        rogan_gladen(50, 100, **poor)
    with pytest.raises(UsageProblem, match="both classes"):
        rogan_gladen(
            5, 10, true_positives=5, false_negatives=0, true_negatives=0, false_positives=0
        )


def test_rogan_gladen_by_hand():
    # (0.6 + 0.8 - 1) / (0.9 + 0.8 - 1) = 0.4 / 0.7
    found = rogan_gladen(
        60, 100, true_positives=45, false_negatives=5, true_negatives=40, false_positives=10
    )
    assert found.estimate == pytest.approx(4 / 7)
    assert found.low < 4 / 7 < found.high


def test_coverage_of_corrections():
    def corrected(labels, *, tune):
        def make(draw):
            truth = (draw.random(labels + 400) < 0.7).astype(float)
            judge = np.clip(truth * 0.6 + 0.3 + draw.normal(0, 0.3, labels + 400), 0, 1)
            return ppi_mean(truth[:labels], judge[:labels], judge[labels:], tune=tune)

        return make

    assert 0.92 <= covers(corrected(40, tune=True), 0.7) <= 0.975
    assert 0.92 <= covers(corrected(40, tune=False), 0.7) <= 0.975

    def share(draw):
        sick = draw.binomial(100, 0.6)
        hits, rests = draw.binomial(sick, 0.9), draw.binomial(100 - sick, 0.8)
        said = draw.binomial(300, 0.7 * 0.9 + 0.3 * 0.2)
        return rogan_gladen(
            said,
            300,
            true_positives=hits,
            false_negatives=sick - hits,
            true_negatives=rests,
            false_positives=100 - sick - rests,
        )

    assert 0.92 <= covers(share, 0.7) <= 0.975


def test_coverage_of_agreement():
    def agreement(draw):
        truth = draw.random(120) < 0.6
        said = np.where(draw.random(120) < 0.8, truth, ~truth)
        return cohen_kappa(truth.tolist(), said.tolist())

    chance = 0.6 * 0.56 + 0.4 * 0.44
    assert 0.92 <= covers(agreement, (0.8 - chance) / (1 - chance)) <= 0.975

    def area(draw):
        return auc(draw.normal(1, 1, 25), draw.normal(0, 1, 40))

    assert 0.92 <= covers(area, NormalDist().cdf(0.5**0.5)) <= 0.975
