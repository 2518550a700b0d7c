"""Quantiles and tails of the normal and of Student's t, from the standard library's functions."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300


def normal_quantile(p: float) -> float:
    """Return the standard normal's quantile (p in 0..1, both ends excluded)."""
    return _NORMAL.inv_cdf(p)


def normal_cdf(x: float) -> float:
    """Return the standard normal's distribution function."""
    return _NORMAL.cdf(x)


def t_cdf(x: float, df: float) -> float:
    """Return Student's t distribution function.

    Source: Abramowitz and Stegun 26.5.27, as a regularized incomplete beta function.
    """
    tail = 0.5 * _beta(df / 2, 0.5, df / (df + x * x))
    return 1 - tail if x > 0 else tail


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Return Student's t quantile, by bisection of `t_cdf` (12 digits).

    Args:
        p: Probability, 0..1 with both ends excluded.
        df: Degrees of freedom, above 0; need not be whole.
    """
    if p < 0.5:
        return -t_quantile(1 - p, df)
    if df > 1e7:
        return normal_quantile(p)
    low, high = 0.0, 1.0
    while t_cdf(high, df) < p:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
        if high - low <= 1e-13 * high:
            break
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b).

    Source: its continued fraction (Abramowitz and Stegun 26.5.8), evaluated from the front.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast on one side of the mean only; the other follows by symmetry.
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(b, a, 1 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    numerator, denominator = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, 500):
        before = value
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            denominator = 1 / _away(1 + step * denominator)
            numerator = _away(1 + step / numerator)
            value *= denominator * numerator
        if abs(value - before) < 1e-15 * abs(value):
            break
    return front * value / a


def _away(value: float) -> float:
    """Keep a divisor away from 0."""
    return value if abs(value) > _TINY else _TINY
