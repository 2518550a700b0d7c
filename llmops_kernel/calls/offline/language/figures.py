"""Reads numbers and dates as they are written in text."""

from __future__ import annotations

import re
from datetime import date

from llmops_kernel.calls.offline.language.lexicon import NUMBER_WORDS

_NUMERAL = re.compile(r"[-\u2212]?\d[\d,.  ]*")


def number_of(text: str) -> float | None:
    """Read the number in a value's text (``1,200.50 EUR`` → 1200.5, ``3k`` → 3000)."""
    match = _NUMERAL.search(text)
    if match is None:
        return next((float(n) for word, n in NUMBER_WORDS.items() if word in text.lower()), None)
    digits = re.sub(r"[  ]", "", match.group()).replace("\u2212", "-").rstrip(".,")
    if "," in digits and "." in digits:
        decimal = max(digits.rfind(","), digits.rfind("."))
        digits = re.sub(r"[.,]", "", digits[:decimal]) + "." + digits[decimal + 1 :]
    elif digits.count(",") == 1 and len(digits.rsplit(",", 1)[1]) != 3:
        digits = digits.replace(",", ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    digits = digits.replace(",", "")
    try:
        value = float(digits)
    except ValueError:
        return None
    after = text[match.end() :].lstrip().lower()
    for word, factor in _SCALES:
        if after.startswith(word):
            return value * factor
    return value if abs(value) < 1e300 else None


_SCALES = (("thousand", 1e3), ("million", 1e6), ("billion", 1e9), ("trillion", 1e12))
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
        start=1,
    )
}


def iso_date(text: str) -> str | None:
    """Return a written date as ``YYYY-MM-DD``; None when it has no year or is no calendar date.

    ``03/04/2024`` is read day first, unless that is impossible.
    """
    parts = [int(part) for part in re.findall(r"\d+", text[:40])]
    lowered = text[:40].lower()
    month = next((n for name, n in _MONTHS.items() if re.search(rf"\b{name}", lowered)), None)
    if month is not None:
        year = next((p for p in parts if p >= 1000), None)
        day = next((p for p in parts if 1 <= p <= 31), 1)
        return _iso(year, month, day) if year else None
    if len(parts) < 3:
        return None
    if parts[0] >= 1000:
        return _iso(*parts[:3])
    day, second, year = parts[:3]
    year += 2000 if year < 100 else 0
    return _iso(year, second, day) or _iso(year, day, second)


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
