"""Paired tests, several tests, power."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats import (
    holm,
    mcnemar,
    mde,
    n_needed,
    paired_difference,
    sign_flip,
)


def test_sign_flip_by_hand():
    # Of 2^5 patterns only all plus and all minus reach 15.
    found = sign_flip([1, 2, 3, 4, 5])
    assert (found.p, found.exact, found.units) == (2 / 32, True, 5)
    # 1 + 2 - 3 = 0 is reached by every pattern.
    assert sign_flip([1, 2, -3]).p == 1
    assert sign_flip([0, 0]).p == 1


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_the_exact_test_counts_all_patterns(differences):
    kept = [abs(each) for each in differences if each]
    bar = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(kept)))
    hits = sum(
        abs(sum(s * v for s, v in zip(signs, kept, strict=True))) >= bar for signs in patterns
    )
    assert sign_flip(differences).p == pytest.approx(hits / len(patterns))


def test_monte_carlo_agrees_with_the_exact_tail():
    # 15 plus and 5 minus ones: the two-sided binomial tail of 20 coins, 2 * 21700 / 2^20.
    found = sign_flip([1.0] * 15 + [-1.0] * 5, flips=40_000)
    assert not found.exact
    assert found.p == pytest.approx(2 * 21_700 / 2**20, abs=0.004)
    assert found == sign_flip([1.0] * 15 + [-1.0] * 5, flips=40_000)


def test_whole_clusters_are_flipped():
    # Three clusters of equal differences are three coins, not thirty.
    found = sign_flip([0.1] * 30, clusters=["a", "b", "c"] * 10)
    assert (found.p, found.units) == (2 / 8, 3)


def test_the_level_is_kept_under_the_hypothesis():
    alarms = naive = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        values = np.repeat(draw.normal(0, 1, 25), 4) + draw.normal(0, 0.5, 100)
        names = [f"c{place // 4}" for place in range(100)]
        alarms += sign_flip(values, clusters=names, flips=400).p <= 0.05
        naive += sign_flip(values, flips=400).p <= 0.05
    assert alarms / 400 <= 0.075
    assert naive / 400 > 0.2


def test_paired_difference():
    found = paired_difference([2, 4, 6], [1, 2, 3])
    assert found.estimate == 2
    assert found.high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)
    boot = paired_difference([0.5] * 30 + [1] * 10, [0.5] * 40, method="bootstrap")
    assert boot.low < 0.125 < boot.high
    with pytest.raises(UsageProblem):
        paired_difference([1, 2], [1])


def test_mcnemar_by_hand():
    # 9 discordant pairs, 1 of them gained: 2 (1 + 9) / 512.
    assert mcnemar(8, 1) == pytest.approx(20 / 512)
    assert mcnemar(1, 8) == mcnemar(8, 1)
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert 0 <= mcnemar(3000, 10) < 1e-300
    with pytest.raises(UsageProblem):
        mcnemar(-1, 2)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    with pytest.raises(UsageProblem):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_the_raw_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for raw, own in zip(p_values, adjusted, strict=True):
        assert raw - 1e-12 <= own <= min(1.0, raw * len(p_values)) + 1e-12
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert all(adjusted[a] <= adjusted[b] for a, b in itertools.pairwise(order))


@pytest.mark.parametrize(("n", "effect"), [(20, 0.19), (50, 0.12), (100, 0.084), (400, 0.042)])
def test_what_a_comparison_can_see(n, effect):
    assert mde(0.3, n) == pytest.approx(effect, abs=0.0025)


@given(st.floats(0.01, 2), st.integers(2, 5000))
def test_n_needed_is_the_inverse(sd, n):
    assert n_needed(sd, mde(sd, n)) == n


def test_power_refuses_what_cannot_be():
    with pytest.raises(UsageProblem):
        n_needed(0.3, 0)
    with pytest.raises(UsageProblem):
        mde(-1, 10)
