"""A figure of a plan: exact, or a range with the measurement it leans on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GIB = 2**30
GB = 10**9


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that is known, or known to lie between two others.

    Attributes:
        low: The least it can be.
        best: What it most likely is; equals the others where the figure is exact.
        high: The most it can be.
        anchor: The formula, or the published measurement, that it leans on.
    """

    low: float
    best: float
    high: float
    anchor: str = ""

    @classmethod
    def exact(cls, value: float, anchor: str = "") -> Figure:
        """Return a figure without doubt."""
        return cls(value, value, value, anchor)

    @classmethod
    def around(cls, best: float, low: float, high: float, anchor: str) -> Figure:
        """Return a range around its best value; low and high are factors of it."""
        return cls(best * low, best, best * high, anchor)

    @property
    def is_exact(self) -> bool:
        """Whether low and high are the same."""
        return self.low == self.high

    def __add__(self, other: Figure) -> Figure:
        return Figure(
            self.low + other.low,
            self.best + other.best,
            self.high + other.high,
            _joined(self, other),
        )

    def __sub__(self, other: Figure) -> Figure:
        return Figure(
            self.low - other.high,
            self.best - other.best,
            self.high - other.low,
            _joined(self, other),
        )

    def times(self, factor: float, anchor: str = "") -> Figure:
        """Return the figure scaled by a factor of at least zero."""
        return Figure(
            self.low * factor, self.best * factor, self.high * factor, anchor or self.anchor
        )

    def at_least(self, floor: float) -> Figure:
        """Return the figure with everything below a floor raised to it."""
        return Figure(
            max(self.low, floor), max(self.best, floor), max(self.high, floor), self.anchor
        )

    def contains(self, value: float) -> bool:
        """Whether a value lies within the range."""
        return self.low <= value <= self.high

    def as_json(self, digits: int = 3) -> Any:
        """Return a number where the figure is exact, else ``{low, high, anchor}``."""
        if self.is_exact:
            return round(self.best, digits)
        return {
            "low": round(self.low, digits),
            "high": round(self.high, digits),
            "anchor": self.anchor,
        }

    def text(self, unit: str = "", digits: int = 2) -> str:
        """Return the figure for people: ``14.96 GiB`` or ``4.28 to 5.24 GiB``."""
        tail = f" {unit}" if unit else ""
        if self.is_exact:
            return f"{self.best:,.{digits}f}{tail}"
        return f"{self.low:,.{digits}f} to {self.high:,.{digits}f}{tail}"


def _joined(one: Figure, other: Figure) -> str:
    """Name the anchors of a sum; those of exact parts say nothing about its range."""
    parts = [each.anchor for each in (one, other) if each.anchor and not each.is_exact]
    if not parts:
        parts = [each.anchor for each in (one, other) if each.anchor]
    return "; ".join(dict.fromkeys(part for text in parts for part in text.split("; ")))
