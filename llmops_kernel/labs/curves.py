"""When requests come, and what is popular."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

DAY = 86_400.0
# Weights of the hours 0 to 23, UTC: quiet nights, a rise at breakfast, peaks at lunch and after
# work. Between the middles of two hours the rate goes in a straight line.
HOURS = (
    8, 6, 5, 4, 4, 6, 14, 28, 46, 58, 62, 66, 72, 64, 58, 56, 60, 68, 76, 74, 62, 46, 28, 15,
)  # fmt: skip
_STEPS = 24 * 60
_T = TypeVar("_T")


def arrivals(size: int, random: Random) -> list[float]:
    """Return when requests come, in seconds after midnight, ascending, by the day's curve."""
    sums = list(accumulate(_rate((n + 0.5) * 24 / _STEPS) for n in range(_STEPS)))
    found = []
    for _ in range(size):
        at = bisect_left(sums, random.random() * sums[-1])
        found.append((at + random.random()) * DAY / _STEPS)
    return sorted(round(time, 3) for time in found)


class Popular(Generic[_T]):
    """Draws by Zipf's law; which one is popular is itself drawn, from the seed."""

    def __init__(self, items: Sequence[_T], exponent: float, random: Random) -> None:
        self._items = list(items)
        random.shuffle(self._items)
        self._sums = list(accumulate((n + 1) ** -exponent for n in range(len(self._items))))

    def __bool__(self) -> bool:
        return bool(self._items)

    def draw(self, random: Random) -> _T:
        """Return one of the items, which are one at least."""
        at = bisect_left(self._sums, random.random() * self._sums[-1])
        return self._items[min(at, len(self._items) - 1)]


def _rate(hour: float) -> float:
    """Return the day's curve at an hour, 0 to 24."""
    place = hour - 0.5
    before = math.floor(place)
    share = place - before
    return HOURS[before % 24] * (1 - share) + HOURS[(before + 1) % 24] * share
