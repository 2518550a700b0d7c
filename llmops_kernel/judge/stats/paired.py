"""Two runs over the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.groups import as_values, cluster_numbers, cluster_sums
from llmops_kernel.judge.stats.intervals import Interval, bootstrap_mean, t_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.stats.groups import Floats

_EXACT = 14  # units up to which all 2^n sign patterns are counted
FLIPS = 10_000
_BLOCK = 2_000_000


@dataclass(frozen=True, slots=True)
class SignFlip:
    """The result of a sign-flip permutation test.

    Attributes:
        p: Two-sided p-value.
        exact: Whether all sign patterns were counted.
        units: Clusters (or samples) whose sign was flipped; those with a difference of 0 say
            nothing and are not counted.
    """

    p: float
    exact: bool
    units: int


def sign_flip(
    differences: Sequence[float] | Floats,
    *,
    clusters: Sequence[str] | None = None,
    flips: int = FLIPS,
    seed: int = 0,
) -> SignFlip:
    """Test whether paired differences are symmetric about 0.

    Source: Fisher 1935, section 21; Good 2005, chapter 3. Under the hypothesis each difference is
    as likely to have the other sign. The p-value is the share of sign patterns whose absolute sum
    is at least the observed one; by Monte Carlo (1 + hits) / (1 + flips), which is never 0 and
    keeps its level (Phipson and Smyth 2010). With clusters the signs of whole clusters are flipped.

    Args:
        differences: One per sample.
        clusters: The cluster of each, "" for none.
        flips: Sign patterns that are drawn where there are too many to count all.
        seed: The same seed gives the same p-value.
    """
    array = as_values(differences, "differences")
    sums, _ = cluster_sums(array, cluster_numbers(clusters, len(array)))
    weights = np.abs(sums[np.abs(sums) > 1e-15 * float(np.abs(sums).max())])
    if not weights.size:
        return SignFlip(1.0, True, 0)
    observed = abs(float(sums.sum()))
    bar = observed - 1e-9 * float(weights.sum())  # equal sums that rounding made unequal count
    if weights.size <= _EXACT:
        totals = np.zeros(1)
        for weight in weights:
            totals = np.concatenate((totals - weight, totals + weight))
        return SignFlip(float((np.abs(totals) >= bar).mean()), True, weights.size)
    draw = np.random.default_rng(seed)
    hits, left = 0, flips
    while left:
        size = min(left, max(1, _BLOCK // weights.size))
        drawn = draw.integers(0, 256, (size, -(-weights.size // 8)), dtype=np.uint8)
        positive = np.unpackbits(drawn, axis=1, count=weights.size).astype(np.float64)
        # The sum with random signs: twice what is positive, less all of it.
        totals = 2 * (positive @ weights) - weights.sum()
        hits += int((np.abs(totals) >= bar).sum())
        left -= size
    return SignFlip((1 + hits) / (1 + flips), False, weights.size)


def paired_difference(
    current: Sequence[float] | Floats,
    baseline: Sequence[float] | Floats,
    *,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
    method: Literal["t", "bootstrap"] = "t",
    seed: int = 0,
) -> Interval:
    """Return the mean of current - baseline over the same samples, with its interval.

    Source: Student's t of the differences, cluster-robust where there are clusters (`t_mean`), or
    the studentized bootstrap (`bootstrap_mean`) where a few large differences make up the mean.

    Raises:
        UsageProblem: The runs differ in length.
    """
    new, old = as_values(current), as_values(baseline)
    if len(new) != len(old):
        raise UsageProblem(
            "A paired comparison needs the same samples", detail=f"{len(new)} and {len(old)}"
        )
    if method == "t":
        return t_mean(new - old, clusters=clusters, level=level)
    return bootstrap_mean(
        new - old, clusters=clusters, level=level, method="studentized", seed=seed
    )


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Source: McNemar 1947; under the hypothesis the discordant pairs are a fair coin, so the p-value
    is twice the smaller binomial tail, at most 1.

    Args:
        lost: Pairs that passed before and fail now.
        gained: Pairs that failed before and pass now.

    Raises:
        UsageProblem: A count is below 0.
    """
    if lost < 0 or gained < 0:
        raise UsageProblem("A count of pairs cannot be below 0")
    n, fewer = lost + gained, min(lost, gained)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, float(Fraction(2 * tail, 2**n)))
