"""Calendar windows: each is a row of its own, so nothing ever has to be reset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from llmops_kernel.settings import Window

MICRO = 1_000_000


def window_bounds(window: Window, at: int, zone: str = "UTC") -> tuple[int, int]:
    """Return the start and end of the window that holds an instant.

    Args:
        window: ``hour``, ``day``, ``month`` or ``total``.
        at: The instant, in microseconds since the epoch.
        zone: The time zone whose calendar counts.

    Returns:
        Microseconds since the epoch; (0, 0) for ``total``, which has no bounds.
    """
    if window == "total":
        return 0, 0
    start, end = _cached(window, at // (3_600 * MICRO) * 3_600, zone)
    if start <= at < end:
        return start, end
    # Zones with offsets of half hours: the cached full hour can lie in the window before.
    return _bounds(window, at // MICRO, zone)


@lru_cache(maxsize=256)
def _cached(window: Window, seconds: int, zone: str) -> tuple[int, int]:
    return _bounds(window, seconds, zone)


def _bounds(window: Window, seconds: int, zone: str) -> tuple[int, int]:
    here = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(zone))
    if window == "hour":
        # Hours are counted on the clock that never jumps; half-hour zones keep their minutes.
        start = here.astimezone(UTC) - timedelta(minutes=here.minute, seconds=here.second)
        return _micro(start), _micro(start + timedelta(hours=1))
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window == "day":
        # Wall-clock arithmetic: a day of a clock change has 23 or 25 hours.
        return _micro(midnight), _micro(midnight + timedelta(days=1))
    first = midnight.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return _micro(first), _micro(following)


def _micro(moment: datetime) -> int:
    return int(moment.timestamp()) * MICRO
