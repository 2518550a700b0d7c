"""Figures as people read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd

if TYPE_CHECKING:
    from llmops_kernel.judge.stats.intervals import Interval


def share(value: float | None) -> str:
    """Return a score as text, with three digits."""
    return "-" if value is None else f"{value:.3f}"


def p_value(value: float | None) -> str:
    """Return a p-value as text; none is 0."""
    return "<0.001" if value is not None and value < 0.001 else share(value)


def spread(interval: Interval | None, *, signed: bool = False) -> str:
    """Return an estimate with its interval: ``0.812 [0.764, 0.853]``."""
    if interval is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    if not math.isfinite(interval.low) or not math.isfinite(interval.high):
        return f"{interval.estimate:{form}} [unknown]"
    return f"{interval.estimate:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def cost(real_nano: int, simulated_nano: int) -> str:
    """Return dollars; simulated ones are named and never added to real ones."""
    parts = []
    if real_nano or not simulated_nano:
        parts.append(f"${usd(real_nano):.4f}")
    if simulated_nano:
        parts.append(f"${usd(simulated_nano):.4f} simulated")
    return " + ".join(parts)


def counts(reasons: dict[str, int]) -> str:
    """Return counts by reason: ``3 parse, 1 error``."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "0"


def clean(text: str) -> str:
    """Return text without what XML and HTML cannot hold; those characters become U+FFFD."""
    return "".join(char if _allowed(ord(char)) else "�" for char in text)


def _allowed(code: int) -> bool:
    if code < 0x20:
        return code in (0x9, 0xA, 0xD)
    return not (0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF))
