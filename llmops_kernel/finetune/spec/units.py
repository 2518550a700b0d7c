"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {
    "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", re.IGNORECASE)
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\s*", re.IGNORECASE)


def duration(value: object) -> float:
    """Return seconds of ``90``, ``90s``, ``10m``, ``1h30m``.

    Raises:
        ValueError: It is no duration above zero.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        text = str(value).strip()
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise ValueError("write a duration such as 90s, 10m or 1h30m")
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    if not 0 < seconds < 366 * 86_400:
        raise ValueError("a duration is above zero and at most a year")
    return seconds


def size(value: object) -> int:
    """Return bytes of ``8GiB``, ``500 MB`` or a number of bytes.

    Raises:
        ValueError: It is no size above zero.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        match = _SIZE.fullmatch(str(value))
        if match is None:
            raise ValueError("write a size such as 8GiB or 500MB")
        number = int(float(match[1]) * _BYTES[match[2].lower()])
    if number < 1:
        raise ValueError("a size is above zero")
    return number
