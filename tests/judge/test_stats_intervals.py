"""Intervals: hand-computed values, properties, and how often they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats import bootstrap_mean, mean_interval, t_mean, wilson
from llmops_kernel.judge.stats.quantiles import t_cdf, t_quantile

RUNS = 400


def covers(make, truth, runs=RUNS):
    """The share of simulated intervals that hold the truth."""
    hits = 0
    for seed in range(runs):
        found = make(np.random.default_rng(seed))
        hits += found.low <= truth <= found.high
    return hits / runs


def clustered(draw, groups=40, size=5):
    values = np.repeat(draw.normal(0, 1, groups), size) + draw.normal(0, 1, groups * size)
    return values, [f"c{place // size}" for place in range(groups * size)]


@pytest.mark.parametrize(
    ("p", "df", "value"),
    [(0.975, 1, 12.7062), (0.975, 5, 2.570582), (0.95, 10, 1.812461), (0.025, 30, -2.042272)],
)
def test_students_t_is_that_of_the_tables(p, df, value):
    assert t_quantile(p, df) == pytest.approx(value, rel=1e-5)
    assert t_cdf(t_quantile(p, df), df) == pytest.approx(p, abs=1e-10)


def test_wilson_by_hand():
    # z = 1.959964; centre (15 + 1.920729) / 23.841459, half 1.959964 sqrt(3.75 + .960365) / 23.841
    found = wilson(15, 20)
    assert (found.low, found.high) == pytest.approx((0.531299, 0.888138), abs=1e-5)
    assert wilson(0, 10).low == 0
    assert wilson(0, 10).high == pytest.approx(0.277533, abs=1e-5)
    assert wilson(10, 10).high == 1


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 4), (0, 0)])
def test_wilson_refuses_what_is_no_share(k, n):
    with pytest.raises(UsageProblem):
        wilson(k, n)


def test_t_mean_by_hand():
    # mean 3, s^2 2.5, standard error sqrt(0.5), t(4) 2.776445
    found = t_mean([1, 2, 3, 4, 5])
    assert found.estimate == 3
    assert found.high - 3 == pytest.approx(2.776445 * math.sqrt(0.5), rel=1e-6)


def test_cluster_variance_by_hand():
    # Clusters (1, 1) and (0, 0): residual sums +1 and -1, variance 2 * 2/1 / 16 = 0.25, t(1) 12.706
    found = t_mean([1, 1, 0, 0], clusters=["a", "a", "b", "b"])
    assert found.clusters == 2
    assert found.high - 0.5 == pytest.approx(12.7062 * 0.5, rel=1e-5)
    assert t_mean([1, 0, 1], clusters=["", "", ""]) == t_mean([1, 0, 1])


def test_one_cluster_says_nothing_of_the_spread():
    found = t_mean([0.2, 0.4], clusters=["a", "a"])
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert found.as_dict()["low"] is None


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=60, max_size=60),
)
def test_an_interval_holds_its_estimate_and_stays_in_range(values, names):
    found = mean_interval(values, clusters=names[: len(values)])
    assert found.estimate == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert 0 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.99))
def test_wilson_is_symmetric_and_grows_with_confidence(k, n, level):
    k = min(k, n)
    one, other = wilson(k, n, level), wilson(n - k, n, level)
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)
    wider = wilson(k, n, 0.995)
    assert wider.low <= one.low <= one.high <= wider.high


@pytest.mark.parametrize("method", ["percentile", "bca", "studentized"])
def test_a_bootstrap_is_its_seeds(method):
    values = np.random.default_rng(1).beta(4, 1, 40)
    one = bootstrap_mean(values, method=method, resamples=300, seed=5)
    assert one == bootstrap_mean(values, method=method, resamples=300, seed=5)
    assert one != bootstrap_mean(values, method=method, resamples=300, seed=6)
    assert one.low < values.mean() < one.high


@pytest.mark.parametrize("method", ["percentile", "bca", "studentized"])
def test_a_bootstrap_of_equal_values_does_not_fail(method):
    found = bootstrap_mean([0.5] * 40, method=method, resamples=200)
    assert (found.low, found.high) == (0.5, 0.5)


def test_clusters_widen_the_bootstrap():
    values, names = clustered(np.random.default_rng(3))
    naive, honest = bootstrap_mean(values), bootstrap_mean(values, clusters=names)
    assert honest.high - honest.low > 1.5 * (naive.high - naive.low)
    assert honest.clusters == 40


def test_the_interval_suits_the_values():
    assert mean_interval([1, 0, 1, 1]).method == "wilson"
    assert mean_interval([0.5, 0.25, 1]).method == "t"
    assert mean_interval(np.linspace(0, 1, 50)).method == "bootstrap bca"
    # All passes in three documents: three trials, however many questions there were.
    all_good = mean_interval([1.0] * 30, clusters=["a", "b", "c"] * 10)
    assert all_good.low == pytest.approx(wilson(3, 3).low)


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_no_interval_of_what_is_no_number(values):
    with pytest.raises(UsageProblem):
        mean_interval(values)


def test_coverage_without_clusters():
    assert 0.92 <= covers(lambda g: wilson(g.binomial(50, 0.8), 50), 0.8) <= 0.975
    assert 0.92 <= covers(lambda g: t_mean(g.normal(0, 1, 12)), 0) <= 0.975

    def boot(method):
        return lambda g: bootstrap_mean(g.beta(4, 1, 60), method=method, resamples=300)

    for method in ("percentile", "bca", "studentized"):
        assert 0.92 <= covers(boot(method), 0.8) <= 0.975


def test_coverage_with_clusters():
    def by_t(draw):
        values, names = clustered(draw)
        return t_mean(values, clusters=names)

    def by_bootstrap(draw):
        values, names = clustered(draw, groups=60)
        return bootstrap_mean(values, clusters=names, resamples=300)

    def naive(draw):
        return t_mean(clustered(draw)[0])

    assert 0.92 <= covers(by_t, 0) <= 0.975
    assert 0.92 <= covers(by_bootstrap, 0) <= 0.975
    assert covers(naive, 0) < 0.85  # why clusters matter
