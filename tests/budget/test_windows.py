from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.budget.windows import MICRO, window_bounds

_ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe",
          "Asia/Kathmandu")  # fmt: skip
_WINDOWS = ("hour", "day", "month")


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * MICRO


def _text(at: int) -> str:
    return datetime.fromtimestamp(at // MICRO, UTC).isoformat()


@pytest.mark.parametrize(
    ("window", "zone", "start", "end"),
    [
        ("hour", "UTC", "2026-03-29T01:00:00+00:00", "2026-03-29T02:00:00+00:00"),
        ("day", "UTC", "2026-03-29T00:00:00+00:00", "2026-03-30T00:00:00+00:00"),
        # The clocks go forward in Berlin: this day has 23 hours.
        ("day", "Europe/Berlin", "2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00"),
        ("day", "Asia/Kolkata", "2026-03-28T18:30:00+00:00", "2026-03-29T18:30:00+00:00"),
        ("month", "Europe/Berlin", "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
    ],
)
def test_windows_follow_the_calendar_of_their_zone(
    window: Any, zone: str, start: str, end: str
) -> None:
    found = window_bounds(window, _at("2026-03-29T01:30:00+00:00"), zone)
    assert (_text(found[0]), _text(found[1])) == (start, end)


def test_total_has_no_bounds() -> None:
    assert window_bounds("total", 5, "UTC") == (0, 0)


@given(
    at=st.integers(min_value=0, max_value=4_000_000_000 * MICRO),
    window=st.sampled_from(_WINDOWS),
    zone=st.sampled_from(_ZONES),
)
def test_windows_tile_time(at: int, window: Any, zone: str) -> None:
    start, end = window_bounds(window, at, zone)
    assert start <= at < end
    assert window_bounds(window, end, zone)[0] == end
    assert window_bounds(window, start, zone) == (start, end)
    assert window_bounds(window, end - 1, zone) == (start, end)
