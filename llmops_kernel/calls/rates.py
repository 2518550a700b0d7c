"""Exact arithmetic on one price table: what usage costs, and the most it can cost.

A table prices *units* (``input_tokens``, ``cache_read_tokens``, ``requests``, ...) that nest: a
cached token is an input token with a price of its own. Each count is therefore reduced by what its
priced parts already cover, and the rest is multiplied by its rate. Long-context tiers switch every
rate at once, when the input passes their threshold. This is the calculation of genai-prices, done
in integers over one common denominator, so that it takes microseconds and never rounds but once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import lcm
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.calls.usage import Usage

NANO = 1_000_000_000

# The counts that Usage keeps as fields; other units are in its details.
FIELDS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cached_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "output_reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
}

Dimensions = Mapping[str, str]
Tiers = Sequence[tuple[int, Fraction]]


class Rates:
    """One price table.

    Args:
        prices: For each priced unit its rates in nano-dollars per unit, as ``(start, rate)``: a
            rate applies to the whole call when the input is larger than ``start`` tokens. The
            first start is -1, the base.
        units: The dimensions (direction, modality, token type, ...) of every known unit.
    """

    def __init__(self, prices: Mapping[str, Tiers], units: Mapping[str, Dimensions]) -> None:
        fee = prices.get("requests", ((-1, Fraction(0)),))
        lines = {key: tiers for key, tiers in prices.items() if key != "requests"}
        # Parts before wholes, so that each count knows what its parts cover.
        self._keys = sorted(lines, key=lambda key: (-len(units[key]), key))
        self._names = [FIELDS.get(key) for key in self._keys]
        self._parts = [
            [i for i, part in enumerate(self._keys) if _is_part(units[part], units[key])]
            for key in self._keys
        ]
        self._gaps = {key: _Gap(key, units) for key in self._keys if key not in FIELDS}
        starts = {start for tiers in prices.values() for start, _ in tiers}
        self._starts = sorted(starts - {-1})
        spans = [-1, *self._starts]
        self._denominator = lcm(*(r.denominator for t in prices.values() for _, r in t))
        self._tables = [
            [int(_rate(lines[key], start) * self._denominator) for key in self._keys]
            for start in spans
        ]
        self._fees = [int(_rate(fee, start) * self._denominator) for start in spans]
        self._dimensions = [units[key] for key in self._keys]

    @property
    def free(self) -> bool:
        """Whether nothing has a price above zero."""
        return not any(self._fees) and not any(map(any, self._tables))

    @property
    def priced(self) -> frozenset[str]:
        """The units that have a price."""
        return frozenset(self._keys)

    def cost(self, usage: Usage) -> int | None:
        """Return the cost in nano-dollars, rounded up; None when the counts contradict each other.

        Counts contradict when parts exceed their whole, or when a part that has a price of its own
        (cached audio) cannot be told from the counts given.
        """
        details = dict(usage.details) if usage.details else {}
        span = bisect_left(self._starts, usage.input_tokens)
        table = self._tables[span]
        total = self._fees[span]
        rest: list[int] = []
        for index, name in enumerate(self._names):
            if name is not None:
                count = getattr(usage, name)
            else:
                key = self._keys[index]
                count = details.get(key, 0)
                if key not in details and self._gaps[key].open(usage, details):
                    return None
            for part in self._parts[index]:
                count -= rest[part]
            if count < 0:
                return None
            rest.append(count)
            total += count * table[index]
        return -(-total // self._denominator)

    def bound(self, usage: Usage) -> int:
        """Return the most that contradicting usage can have cost, in nano-dollars."""
        counts = dict(usage.details)
        counts.update((key, getattr(usage, name)) for key, name in FIELDS.items())
        sizes = {"input": usage.cached_tokens + usage.cache_write_tokens, "output": 0}
        others = 0
        for key, count in counts.items():
            if side := _side(key):
                sizes[side] = max(sizes[side], count)
            elif key in self._keys:
                index = self._keys.index(key)
                others += count * max(table[index] for table in self._tables)
        media = any(count > 0 and _is_media(key) for key, count in counts.items())
        tokens = Bound([self]).worst(sizes["input"], sizes["output"], media=media)
        return tokens - (-others // self._denominator)

    def dearest(self) -> list[tuple[int, list[Fraction]]]:
        """Return for each tier's start the dearest rates that calls of at least that size can meet.

        The rates, in nano-dollars: text input, text output, any input, any output (per token), fee
        (per call). Smaller calls' rates are included, so each row bounds all sizes up to the next.
        """
        best = [0] * 5
        rows = []
        for start, table, fee in zip([-1, *self._starts], self._tables, self._fees, strict=True):
            best[4] = max(best[4], fee)
            for dimensions, rate in zip(self._dimensions, table, strict=True):
                if dimensions.get("family") != "tokens":
                    continue
                side = 0 if dimensions.get("direction") == "input" else 1
                best[2 + side] = max(best[2 + side], rate)
                if dimensions.get("modality", "text") == "text":
                    best[side] = max(best[side], rate)
            rows.append((start, [Fraction(rate, self._denominator) for rate in best]))
        return rows


class Bound:
    """An upper bound over several price tables of one model, for example of its service tiers."""

    def __init__(self, tables: Sequence[Rates]) -> None:
        climbs = [table.dearest() for table in tables]
        starts = sorted({start for climb in climbs for start, _ in climb})
        rows = []
        for at in starts:
            met = [next(r for start, r in reversed(climb) if start <= at) for climb in climbs]
            rows.append([max(rates) for rates in zip(*met, strict=True)])
        self._starts = starts[1:]
        self._denominator = lcm(*(rate.denominator for row in rows for rate in row))
        self._rows = [[int(rate * self._denominator) for rate in row] for row in rows]

    def worst(self, input_tokens: int, output_tokens: int, *, media: bool = False) -> int:
        """Return the most that this many tokens can cost, in nano-dollars, rounded up.

        Args:
            input_tokens: Most input tokens, cached and written ones included.
            output_tokens: Most output tokens, reasoning included.
            media: Whether audio, images or video may be among them.
        """
        row = self._rows[bisect_left(self._starts, input_tokens)]
        first = 2 if media else 0
        total = input_tokens * row[first] + output_tokens * row[first + 1] + row[4]
        return -(-total // self._denominator)


class _Gap:
    """Tells whether leaving a unit out of the usage means zero, or that it is not known."""

    def __init__(self, key: str, units: Mapping[str, Dimensions]) -> None:
        mine = units[key]
        self._parts = frozenset(other for other, dims in units.items() if _is_part(dims, mine))
        wider = [other for other, dims in units.items() if _is_part(mine, dims)]
        self._crossings = [
            (one, two)
            for one, two in combinations(wider, 2)
            if {**units[one], **units[two]} == mine
            and not _is_part(units[one], units[two])
            and not _is_part(units[two], units[one])
        ]

    def open(self, usage: Usage, details: Mapping[str, int]) -> bool:
        """Whether the counts say that there is something, but not how much."""
        if details and any(count > 0 and key in self._parts for key, count in details.items()):
            return True
        return any(
            _count(usage, details, one) > 0 and _count(usage, details, two) > 0
            for one, two in self._crossings
        )


def _count(usage: Usage, details: Mapping[str, int], key: str) -> int:
    name = FIELDS.get(key)
    count: int = getattr(usage, name) if name else details.get(key, 0)
    return count


def _is_part(part: Dimensions, whole: Dimensions) -> bool:
    return len(part) > len(whole) and whole.items() <= part.items()


def _rate(tiers: Tiers, start: int) -> Fraction:
    return max((tier for tier in tiers if tier[0] <= start), key=lambda tier: tier[0])[1]


def _side(key: str) -> str:
    """Return which total a token count belongs to; "" for units that are no tokens."""
    if not key.endswith("_tokens"):
        return ""
    return "output" if key.startswith("output_") else "input"


def _is_media(key: str) -> bool:
    return any(word in key for word in ("audio", "image", "video"))
