"""Means and shares with their intervals."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.groups import (
    as_values,
    cluster_numbers,
    cluster_sums,
    mean_variance,
)
from llmops_kernel.judge.stats.quantiles import normal_cdf, normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.stats.groups import Floats

Bootstrap = Literal["percentile", "bca", "studentized"]
RESAMPLES = 2_000
_SMALL = 30  # clusters under which a bootstrap's interval is too short
_BLOCK = 2_000_000  # numbers drawn at once


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The estimate.
        low: Lower bound.
        high: Upper bound.
        level: Confidence (0.95).
        n: Values it rests on.
        method: How it was computed ("wilson", "t", "cluster t", "bootstrap bca", ...).
        clusters: Independent groups among the values; ``n`` where each is its own.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    method: str
    clusters: int

    def as_dict(self) -> dict[str, Any]:
        """Return the interval as plain data; a bound that is not finite is None."""
        facts = asdict(self)
        for name in ("low", "high"):
            facts[name] = facts[name] if math.isfinite(facts[name]) else None
        return facts


def wilson(successes: float, n: float, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a share.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4. With z the normal quantile, the
    centre is (k + z^2/2) / (n + z^2), the half width z sqrt(k (n - k) / n + z^2/4) / (n + z^2).

    Args:
        successes: How many of n; need not be whole.
        n: At least above 0.
        level: Confidence.

    Raises:
        UsageProblem: There are more successes than trials, or no trial.
    """
    check_level(level)
    if n <= 0 or not 0 <= successes <= n:
        raise UsageProblem("A share needs trials, and no more successes than trials")
    z = normal_quantile((1 + level) / 2)
    centre = (successes + z * z / 2) / (n + z * z)
    half = z * math.sqrt(successes * (n - successes) / n + z * z / 4) / (n + z * z)
    count = int(n)
    # Rounding must not leave 0 or 1 outside of an interval that touches them.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(successes / n, low, high, level, count, "wilson", count)


def t_mean(
    values: Sequence[float] | Floats,
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
) -> Interval:
    """Return a mean with Student's t interval.

    Source: mean +- t(G - 1) sqrt(V); V is s^2 / n, or the cluster-robust variance (Cochran 1977,
    section 9A) with G clusters. A single cluster says nothing of the spread: its interval is
    infinite.
    """
    check_level(level)
    array = as_values(values)
    numbers = cluster_numbers(clusters, len(array))
    variance, groups = mean_variance(array, numbers)
    mean = float(array.mean())
    half = math.inf if groups < 2 else t_quantile((1 + level) / 2, groups - 1) * math.sqrt(variance)
    method = "t" if numbers is None else "cluster t"
    return Interval(mean, mean - half, mean + half, level, len(array), method, groups)


def bootstrap_mean(
    values: Sequence[float] | Floats,
    *,
    clusters: Sequence[str] | None = None,
    method: Bootstrap = "bca",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return a mean with a bootstrap interval; with clusters, whole clusters are drawn.

    Source: Efron and Tibshirani 1993, chapters 12 (studentized), 13 (percentile) and 14 (BCa, its
    acceleration from leaving out one cluster at a time); clusters: Davison and Hinkley 1997,
    section 3.8.

    Args:
        values: Numbers.
        clusters: The cluster of each, "" for none.
        method: "percentile"; "bca", which corrects bias and skewness; "studentized", which is best
            with few values or a heavy tail, and can leave the range of the values.
        level: Confidence.
        resamples: How many; 200 at least.
        seed: The same seed gives the same interval.

    Raises:
        UsageProblem: Too few resamples, or no values.
    """
    check_level(level)
    if resamples < 200:
        raise UsageProblem("A bootstrap needs at least 200 resamples", detail=str(resamples))
    array = as_values(values)
    numbers = cluster_numbers(clusters, len(array))
    sums, sizes = cluster_sums(array, numbers)
    mean, groups = float(array.mean()), len(sums)
    name = f"{'bootstrap' if numbers is None else 'cluster bootstrap'} {method}"
    if groups < 2:
        return Interval(mean, -math.inf, math.inf, level, len(array), name, groups)
    means, errors = _resampled(sums, sizes, resamples, seed, studentized=method == "studentized")
    tails = (1 - level) / 2, (1 + level) / 2
    if method == "studentized":
        error = math.sqrt(mean_variance(array, numbers)[0])
        usable = errors > 0
        if error == 0 or not usable.any():
            return Interval(mean, mean, mean, level, len(array), name, groups)
        pivots = (means[usable] - mean) / errors[usable]
        upper, lower = np.quantile(pivots, tails)
        low, high = mean - lower * error, mean - upper * error
    else:
        if method == "bca":
            tails = _bca_tails(sums, sizes, mean, means, tails)
        low, high = np.quantile(means, tails)
    return Interval(mean, float(low), float(high), level, len(array), name, groups)


def mean_interval(
    values: Sequence[float] | Floats,
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of scores in 0..1 with the interval that suits them.

    Passes and failures get Wilson's; fewer than 30 independent groups Student's t; the rest the
    BCa bootstrap, of clusters where there are any. Bounds stay within 0..1 for scores that are.
    Values that are all 0 or all 1 get Wilson's with the number of clusters as trials: no variance
    was seen, which is no proof that there is none.
    """
    array = as_values(values)
    numbers = cluster_numbers(clusters, len(array))
    groups = len(array) if numbers is None else int(numbers.max()) + 1
    binary = bool(np.isin(array, (0.0, 1.0)).all())
    constant = float(np.ptp(array)) == 0
    if binary and (numbers is None or constant):
        share = wilson(float(array.mean()) * groups, groups, level)
        return Interval(share.estimate, share.low, share.high, level, len(array), "wilson", groups)
    if groups < _SMALL or constant:
        found = t_mean(array, clusters=clusters, level=level)
    else:
        found = bootstrap_mean(array, clusters=clusters, level=level, seed=seed)
    if array.min() < 0 or array.max() > 1:
        return found
    return Interval(
        found.estimate,
        max(found.low, 0.0),
        min(found.high, 1.0),
        level,
        found.n,
        found.method,
        found.clusters,
    )


def check_level(level: float) -> None:
    """Refuse a confidence that is none (raises `UsageProblem`)."""
    if not 0 < level < 1:
        raise UsageProblem("The confidence level must lie between 0 and 1", detail=str(level))


def _resampled(
    sums: Floats, sizes: Floats, resamples: int, seed: int, *, studentized: bool
) -> tuple[Floats, Floats]:
    """Return means of resamples, and their standard errors where they are asked for."""
    draw = np.random.default_rng(seed)
    groups = len(sums)
    means, errors = np.empty(resamples), np.zeros(resamples)
    step = max(1, _BLOCK // groups)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        chosen = draw.integers(0, groups, (size, groups))
        drawn, counts = sums[chosen], sizes[chosen]
        total = counts.sum(axis=1)
        part = drawn.sum(axis=1) / total
        means[start : start + size] = part
        if studentized:
            residuals = drawn - part[:, None] * counts
            variance = (residuals**2).sum(axis=1) * groups / (groups - 1) / total**2
            errors[start : start + size] = np.sqrt(variance)
    return means, errors


def _bca_tails(
    sums: Floats, sizes: Floats, mean: float, means: Floats, tails: tuple[float, float]
) -> tuple[float, float]:
    resamples = len(means)
    tolerance = 1e-12 * max(1.0, abs(mean))
    below = float((means < mean - tolerance).sum())
    below += 0.5 * float((abs(means - mean) <= tolerance).sum())
    share = min(max(below / resamples, 0.5 / resamples), 1 - 0.5 / resamples)
    bias = normal_quantile(share)
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    spread = left_out.mean() - left_out
    cubes, squares = float((spread**3).sum()), float((spread**2).sum())
    acceleration = cubes / (6 * squares**1.5) if squares > 0 else 0.0
    first, second = (_corrected(normal_quantile(tail), bias, acceleration) for tail in tails)
    return first, second


def _corrected(z: float, bias: float, acceleration: float) -> float:
    shifted = bias + z
    divisor = 1 - acceleration * shifted
    return normal_cdf(bias + shifted / divisor) if divisor > 0 else float(shifted > 0)
