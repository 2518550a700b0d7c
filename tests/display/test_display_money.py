from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.display import count, dollars, nano_dollars, percent, seconds, tokens

DASH = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Decimal(0), "$0.00"),
        (Decimal("2"), "$2.00"),
        (Decimal("0.05"), "$0.05"),
        (Decimal("0.0004"), "$0.0004"),
        (Decimal("0.000424"), "$0.00042"),
        (Decimal("0.12344"), "$0.1234"),
        (Decimal("0.99999"), "$1.00"),
        (Decimal("0.000000001"), "$0.000000001"),
        (Decimal("1E-9"), "$0.000000001"),
        (Decimal("1E+3"), "$1,000.00"),
        (Decimal("1234567.891"), "$1,234,567.89"),
        (Decimal("-0.5"), "-$0.50"),
        (0.1, "$0.10"),
        (5, "$5.00"),
        (None, DASH),
        (Decimal("NaN"), DASH),
        (Decimal("Infinity"), DASH),
    ],
)
def test_dollars(amount: Decimal | float | None, text: str) -> None:
    assert dollars(amount) == text


@given(st.integers(0, 10**18))
def test_dollars_are_plain_and_close(nano: int) -> None:
    text = nano_dollars(nano)
    assert "e" not in text.lower()
    shown = Decimal(text.removeprefix("$").replace(",", ""))
    exact = Decimal(nano).scaleb(-9)
    assert abs(shown - exact) <= max(exact * Decimal("0.05"), Decimal(0))
    if nano:
        assert shown > 0  # something spent is never shown as nothing


def test_signed_changes() -> None:
    assert nano_dollars(10_000_000, signed=True) == "+$0.01"
    assert nano_dollars(-10_000_000, signed=True) == "-$0.01"
    assert nano_dollars(0, signed=True) == "$0.00"
    assert nano_dollars(None) == DASH


def test_tokens() -> None:
    assert tokens(312, 88) == "312+88 tok"
    assert count(1_234_567) == "1,234,567"
    assert count(None) == DASH


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (None, DASH),
        (float("nan"), DASH),
        (-1.0, DASH),
        (0.0, "0 ms"),
        (0.0002, "<1 ms"),
        (0.0124, "12 ms"),
        (0.9996, "1.00 s"),
        (1.239, "1.24 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125.0, "2 min 05 s"),
        (3_720.0, "1 h 02 min"),
    ],
)
def test_seconds(duration: float | None, text: str) -> None:
    assert seconds(duration) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.004, "<1 %"),
        (0.29, "29 %"),
        (0.82, "82 %"),
        (0.9999, "99 %"),
        (1.0, "100 %"),
        (1.2, "120 %"),
        (float("inf"), DASH),
    ],
)
def test_percent_never_says_100_before_the_limit(share: float, text: str) -> None:
    assert percent(share) == text
