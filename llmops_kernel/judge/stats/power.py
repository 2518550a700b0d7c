"""What a comparison of a given size can see."""

from __future__ import annotations

import math

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.quantiles import normal_quantile


def mde(sd: float, n: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest paired difference that is found with the given power.

    Source: (z(1 - alpha/2) + z(power)) sd / sqrt(n) for a two-sided test (Cohen 1988); with 5 % and
    80 % that is 2.8 sd / sqrt(n).

    Args:
        sd: Standard deviation of the paired differences.
        n: Pairs; with clusters, the pairs divided by the design effect.
        alpha: Two-sided level.
        power: Chance to find it.

    Raises:
        UsageProblem: A number cannot be.
    """
    _check(sd, alpha, power)
    if n <= 0:
        raise UsageProblem("The number of pairs must be above 0", detail=str(n))
    return _reach(alpha, power) * sd / math.sqrt(n)


def n_needed(sd: float, difference: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many pairs it takes to find a difference: the inverse of `mde`, rounded up.

    Source: n = ((z(1 - alpha/2) + z(power)) sd / difference)^2 (Cohen 1988).

    Raises:
        UsageProblem: A number cannot be; no number of pairs finds a difference of 0.
    """
    _check(sd, alpha, power)
    if difference == 0:
        raise UsageProblem("No number of samples finds a difference of 0")
    exact = (_reach(alpha, power) * sd / abs(difference)) ** 2
    return max(2, math.ceil(exact - 1e-9 * exact))


def _reach(alpha: float, power: float) -> float:
    return normal_quantile(1 - alpha / 2) + normal_quantile(power)


def _check(sd: float, alpha: float, power: float) -> None:
    if sd < 0 or not 0 < alpha < 1 or not 0 < power < 1:
        raise UsageProblem(
            "A number cannot be", detail=f"sd {sd}, alpha {alpha}, power {power}",
            hint="sd is at least 0; alpha and power lie between 0 and 1",
        )  # fmt: skip
