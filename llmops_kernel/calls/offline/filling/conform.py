"""Brings values into a schema's bounds, and makes up plain ones where the text gives none.

Made-up values can be told from found ones: empty texts, zeros, ``false``, and addresses under
``.invalid``, the domain that can never exist.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.filling.pattern import compile_pattern
from llmops_kernel.calls.offline.filling.schema import Schema, bounds_of, is_multiple
from llmops_kernel.calls.offline.language.figures import iso_date
from llmops_kernel.calls.offline.language.values import find_values

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLACEHOLDERS = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "P0D",
    "email": "unknown@example.invalid",
    "idn-email": "unknown@example.invalid",
    "uri": "https://example.invalid/",
    "url": "https://example.invalid/",
    "iri": "https://example.invalid/",
    "uri-reference": "https://example.invalid/",
    "hostname": "example.invalid",
    "idn-hostname": "example.invalid",
    "ipv4": "192.0.2.0",  # reserved for documentation
    "ipv6": "::",
    "json-pointer": "",
    "regex": "",
    "decimal": "0",
}
_LONGEST = 4_000
_LONGEST_PAD = 100_000


def conform_string(found: str | None, schema: Schema, text: str = "", salt: str = "") -> str:
    """Return a string that fits, near what was found.

    Args:
        found: What the text gives, or None.
        schema: The flat schema of the string.
        text: Where words that fit a pattern may be looked for.
        salt: What makes made-up values differ.
    """
    wanted = schema.get("format")
    if isinstance(wanted, str):
        found = _formatted(found, wanted, text, salt)
    least = max(0, _whole(schema.get("minLength"), 0))
    most = max(least, _whole(schema.get("maxLength"), _LONGEST))
    written = schema.get("pattern")
    if isinstance(written, str):
        return _patterned(found, written, text, least, most)
    value = found or ""
    if len(value) > most:
        value = _clip(value, most)
    if len(value) < least:
        value = value or "unknown"[:most]
        value += "." * min(_LONGEST_PAD, least - len(value))
    return value


def _whole(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _clip(value: str, most: int) -> str:
    cut = value[:most]
    space = cut.rfind(" ")
    whole = value[most : most + 1] in {"", " "}
    return cut if whole or space < most // 2 else cut[:space].rstrip(",;:- ")


def _formatted(found: str | None, wanted: str, text: str, salt: str) -> str | None:
    if wanted == "date":
        return (iso_date(found) if found else None) or _PLACEHOLDERS["date"]
    if wanted == "date-time":
        day = iso_date(found) if found else None
        return f"{day}T00:00:00Z" if day else _PLACEHOLDERS["date-time"]
    if wanted == "time":
        return _time(found or "") or _PLACEHOLDERS["time"]
    if wanted == "uuid":
        known = [v.text for v in find_values(text, frozenset({"uuid"}))]
        if known:
            return known[0].lower()
        seed = f"{salt}\n{text[:4_000]}"
        digest = blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"
    kinds = {"email": "email", "uri": "url", "url": "url", "ipv4": "ip"}
    if wanted in kinds:
        known = [v.text for v in find_values(found or "") if v.kind == kinds[wanted]]
        known = known or [v.text for v in find_values(text) if v.kind == kinds[wanted]]
        return (
            known[0] if known and (wanted != "ipv4" or _is_ip(known[0])) else _PLACEHOLDERS[wanted]
        )
    return _PLACEHOLDERS.get(wanted, found)


def _is_ip(text: str) -> bool:
    return all(int(part) < 256 and str(int(part)) == part for part in text.split("."))


def _time(text: str) -> str | None:
    digits = [int("".join(ch for ch in part if ch.isdigit()) or -1) for part in text.split(":")]
    if not digits or not 0 <= digits[0] < 24 or (len(digits) > 1 and not 0 <= digits[1] < 60):
        return None
    hour = digits[0] + (12 if "p" in text.lower() and digits[0] < 12 else 0)
    return f"{hour:02d}:{digits[1] if len(digits) > 1 else 0:02d}:00Z"


def _patterned(found: str | None, written: str, text: str, least: int, most: int) -> str:
    pattern = compile_pattern(written)
    if pattern is None:
        value = _clip(found or "", most)
        return value + "." * min(_LONGEST_PAD, max(0, least - len(value)))
    if found is not None and least <= len(found) <= most and pattern.matches(found):
        return found
    for token in _tokens(text):
        if least <= len(token) <= most and pattern.matches(token):
            return token
    example = pattern.example(least, min(most, 400))
    return example if example is not None else _clip(found or "", most)


def _tokens(text: str) -> Sequence[str]:
    values = [value.text for value in find_values(text[:4_000])]
    parts = [part.strip(".,;:!?()[]\"'“”") for part in text[:4_000].split()]
    return [token for token in dict.fromkeys([*values, *parts]) if 0 < len(token) <= 64][:250]


def conform_number(found: float | None, schema: Schema, *, whole: bool) -> int | float:
    """Return a number that fits, near what was found (0 when nothing was)."""
    value = found if found is not None and math.isfinite(found) else 0.0
    low, low_open, high, high_open = bounds_of(schema)
    step = schema.get("multipleOf")
    if isinstance(step, int | float) and not isinstance(step, bool) and step > 0:
        fitting = _on_grid(value, step, low, low_open, high, high_open, whole=whole)
        if fitting is not None:
            return fitting
    if whole:
        return _whole_within(value, low, low_open, high, high_open)
    if value < low or (low_open and value <= low):
        value = _inside(low, high) if low_open else low
    if value > high or (high_open and value >= high):
        value = _inside(low, high) if high_open else high
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def _inside(low: float, high: float) -> float:
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) / 2
    return low + 1 if math.isfinite(low) else high - 1


def _whole_within(value: float, low: float, low_open: bool, high: float, high_open: bool) -> int:
    least = -math.inf if math.isinf(low) else math.floor(low) + 1 if low_open else math.ceil(low)
    most = math.inf if math.isinf(high) else math.ceil(high) - 1 if high_open else math.floor(high)
    nearest = round(value)
    if nearest < least:
        nearest = int(least)
    if nearest > most:
        nearest = int(most)
    return nearest


def _on_grid(
    value: float,
    step: float,
    low: float,
    low_open: bool,
    high: float,
    high_open: bool,
    *,
    whole: bool,
) -> int | float | None:
    """Return the multiple of a step nearest to a value within bounds."""
    try:
        first = math.ceil(low / step) if math.isfinite(low) else None
        last = math.floor(high / step) if math.isfinite(high) else None
        start = round(value / step)
    except OverflowError:
        return None
    if first is not None:
        start = max(start, first)
    if last is not None:
        start = min(start, last)
    for distance in range(200):
        for count in {start + distance, start - distance}:
            number: int | float = count * step
            if isinstance(step, float) and number == int(number):
                number = int(number)
            inside = (number > low if low_open else number >= low) and (
                number < high if high_open else number <= high
            )
            if inside and is_multiple(number, step) and (not whole or number == int(number)):
                return int(number) if whole else number
    return None
