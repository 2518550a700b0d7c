"""Looking more than once, without more false alarms than one look has."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.quantiles import normal_cdf, normal_quantile

Spending = Literal["obrien-fleming", "pocock"]
SPENDINGS: tuple[Spending, ...] = ("obrien-fleming", "pocock")
_NODES = 160
_FARTHEST = 12.0  # standard errors beyond which nothing is ever found


def alpha_spent(alpha: float, fraction: float, spending: Spending = "obrien-fleming") -> float:
    """Return how much of alpha may be spent until a share of the samples is in.

    Source: Lan and DeMets 1983, with half of alpha on each side. "obrien-fleming": on a side
    2 - 2 Phi(z(1 - alpha/4) / sqrt(t)), which keeps nearly all for the end; "pocock": together
    alpha ln(1 + (e - 1) t), which stops earlier and finds less.

    Args:
        alpha: Two-sided level of all looks together.
        fraction: Samples so far over the declared maximum, above 0 and up to 1.
        spending: The function.

    Raises:
        UsageProblem: There is no such function, or a number cannot be.
    """
    if spending not in SPENDINGS:
        raise UsageProblem(
            f"There is no spending function {spending!r}", hint=f"Known are {', '.join(SPENDINGS)}"
        )
    if not 0 < alpha < 1 or not 0 < fraction <= 1:
        raise UsageProblem(
            "A level or a share of the samples cannot be", detail=f"{alpha}, {fraction}"
        )
    if spending == "pocock":
        return alpha * math.log(1 + (math.e - 1) * fraction)
    return 4 - 4 * normal_cdf(normal_quantile(1 - alpha / 4) / math.sqrt(fraction))


@lru_cache(maxsize=256)
def look_levels(
    alpha: float, fractions: tuple[float, ...], spending: Spending = "obrien-fleming"
) -> tuple[float, ...]:
    """Return the two-sided level at which each look may decide, so that all together keep alpha.

    Source: the recursion of Armitage, McPherson and Rowe 1969 for a sum of normal increments: the
    density of the sum among runs that no look has ended is carried from look to look (here by
    Gauss-Legendre quadrature), and each bound takes what the spending function allows.

    Args:
        alpha: Two-sided level of all looks together.
        fractions: Samples at each look over the declared maximum, rising, the last one 1.
        spending: How alpha is spent.

    Raises:
        UsageProblem: The looks do not rise to 1.
    """
    if not fractions or fractions[-1] != 1 or any(
        later <= sooner for sooner, later in pairwise(fractions)
    ):  # fmt: skip
        raise UsageProblem("Looks must rise, and the last one is at the maximum")
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    levels: list[float] = []
    places = density = None
    before, spent = 0.0, 0.0
    for fraction in fractions:
        allowed = alpha_spent(alpha, fraction, spending) - spent
        spent += allowed
        step, scale = math.sqrt(fraction - before), math.sqrt(fraction)
        low, high = 0.0, _FARTHEST
        for _ in range(60):
            middle = (low + high) / 2
            beyond = _beyond(middle * scale, step, places, density)
            low, high = (middle, high) if beyond > allowed else (low, middle)
        bound = high
        levels.append(2 - 2 * normal_cdf(bound) if bound < _FARTHEST - 1e-6 else 0.0)
        now = nodes * bound * scale
        if places is None or density is None:
            carried = np.exp(-0.5 * (now / step) ** 2)
        else:
            carried = np.exp(-0.5 * ((now[:, None] - places[None, :]) / step) ** 2) @ density
        density = carried / (step * math.sqrt(2 * math.pi)) * weights * bound * scale
        places, before = now, fraction
    return tuple(levels)


def _beyond(bound: float, step: float, places: object, density: object) -> float:
    """Return the chance to be beyond a bound now, and within all bounds before."""
    if places is None or density is None:
        return 2 - 2 * normal_cdf(bound / step)
    starts = np.asarray(places)
    tails = np.array(
        [
            normal_cdf((start - bound) / step) + normal_cdf((-bound - start) / step)
            for start in starts
        ]
    )
    return float(tails @ np.asarray(density))
