"""Amounts as text: dollars, tokens, seconds, shares."""

from __future__ import annotations

from decimal import Decimal
from math import floor, isfinite

UNKNOWN = "\N{EN DASH}"


def dollars(amount: Decimal | float | None, *, signed: bool = False) -> str:
    """Return US dollars with enough digits to tell small amounts apart, never in powers of ten.

    From one dollar up there are two decimals; below, at least four or two significant digits,
    without trailing zeros: ``$2.00``, ``$0.05``, ``$0.1234``, ``$0.00042``.

    Args:
        amount: Dollars; None for an unknown amount.
        signed: Whether amounts above zero get a plus sign.
    """
    if amount is None:
        return UNKNOWN
    exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
    if not exact.is_finite():
        return UNKNOWN
    size = abs(exact)
    decimals = 2
    if 0 < size < 1:
        decimals = min(max(4, 1 - size.adjusted()), 9)  # a nano-dollar is the smallest amount
    text = f"{size:,.{decimals}f}"
    whole, _, fraction = text.partition(".")
    text = f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    sign = "-" if exact < 0 else "+" if signed and exact > 0 else ""
    return f"{sign}${text}"


def nano_dollars(nano: int | None, *, signed: bool = False) -> str:
    """Return integer nano-dollars as dollars; see `dollars`."""
    return dollars(None if nano is None else Decimal(nano).scaleb(-9), signed=signed)


def count(number: int | None) -> str:
    """Return a whole number with thousands separators."""
    return UNKNOWN if number is None else f"{number:,}"


def tokens(input_tokens: int, output_tokens: int) -> str:
    """Return token counts as ``312+88 tok`` (input plus output)."""
    return f"{count(input_tokens)}+{count(output_tokens)} tok"


def seconds(duration: float | None) -> str:
    """Return a duration in seconds as ``12 ms``, ``1.24 s``, ``2 min 05 s`` or ``1 h 02 min``."""
    if duration is None or not isfinite(duration) or duration < 0:
        return UNKNOWN
    if duration < 0.001:
        return "<1 ms" if duration else "0 ms"
    if (milliseconds := round(duration * 1000)) < 1000:
        return f"{milliseconds} ms"
    if duration < 9.995:
        return f"{duration:.2f} s"
    if duration < 59.95:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def percent(share: float) -> str:
    """Return a share (1.0 is everything) in per cent, rounded down.

    Rounded down because "100 %" must mean that the limit has been reached.
    """
    if not isfinite(share) or share < 0:
        return UNKNOWN
    if 0 < share < 0.01:
        return "<1 %"
    # Binary fractions may sit a hair below the share they stand for (0.29 * 100 = 28.999…).
    return f"{floor(share * 100 + 1e-9):,} %"
