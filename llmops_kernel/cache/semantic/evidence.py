"""How sure one may be of an error rate after so many hits.

All intervals are Wilson's score interval (Wilson 1927): unlike the textbook's plus-minus it stays
honest for no errors and for few hits, which is where a cache's decisions are made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share and its interval; all three lie in 0 to 1.

    Attributes:
        value: Errors divided by trials; None without trials.
    """

    value: float | None
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """Return value, low and high."""
        return {"value": self.value, "low": self.low, "high": self.high}


def wilson(errors: int, trials: int, z: float = Z_95) -> Interval:
    """Return the share of errors with its Wilson interval.

    Raises:
        ValueError: Not 0 <= errors <= trials, or z is not positive.
    """
    if not 0 <= errors <= trials or z <= 0:
        raise ValueError("wilson needs 0 <= errors <= trials and z > 0")
    if trials == 0:
        return Interval(None, 0.0, 1.0)
    share = errors / trials
    square = z * z
    middle = share + square / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    scale = 1 + square / trials
    # Rounding must not put an end inside the interval, or outside 0 to 1.
    low = 0.0 if errors == 0 else max(0.0, min(share, (middle - reach) / scale))
    high = 1.0 if errors == trials else min(1.0, max(share, (middle + reach) / scale))
    return Interval(share, low, high)


def trials_needed(target: float, errors: int = 0, z: float = Z_95) -> int:
    """Return how many trials with so many errors put the upper bound at or below a target.

    Without errors this is z² (1 - target) / target: 189 hits for 2 %, 381 for 1 %.

    Raises:
        ValueError: The target is not above 0 and below 1, or errors is negative.
    """
    if not 0 < target < 1 or errors < 0:
        raise ValueError("trials_needed needs 0 < target < 1 and errors >= 0")
    least, most = max(errors, 1), max(2 * errors, 2)
    while wilson(errors, most, z).high > target:
        least, most = most, most * 2
    while least < most:  # the upper bound falls as trials grow, so halving finds the least
        middle = (least + most) // 2
        if wilson(errors, middle, z).high <= target:
            most = middle
        else:
            least = middle + 1
    return least


class Verdict(StrEnum):
    """What counted hits say about a target for errors per hit."""

    MET = "met"
    NOT_ENOUGH = "not enough evidence"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Counted hits and how many of them were wrong."""

    hits: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.hits:
            raise ValueError("Evidence needs 0 <= errors <= hits")

    @property
    def interval(self) -> Interval:
        """Errors per hit, with its 95 % interval."""
        return wilson(self.errors, self.hits)

    def with_hit(self, right: bool) -> Evidence:
        """Return the evidence after one more judged hit."""
        return Evidence(self.hits + 1, self.errors + (not right))

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.hits + other.hits, self.errors + other.errors)

    def verdict(self, target: float) -> Verdict:
        """Hold the evidence against a target for errors per hit.

        ``MET``: the upper bound keeps to it. ``BROKEN``: it does not, though as many hits without
        an error would have sufficed, or the lower bound is above it already. ``NOT_ENOUGH``:
        neither can be said yet.
        """
        interval = self.interval
        if self.hits and interval.high <= target:
            return Verdict.MET
        if interval.low > target or self.hits >= trials_needed(target):
            return Verdict.BROKEN
        return Verdict.NOT_ENOUGH
