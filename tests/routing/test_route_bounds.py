"""The line between small and large: exact bounds, and a promise that is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmops_kernel.routing.bounds import NEVER, draw_error_line, draw_line, lower, upper
from llmops_kernel.routing.frontier import Frontier, area, bootstrap_area, frontier


@pytest.mark.parametrize(("events", "total"), [(0, 10), (1, 50), (7, 200), (40, 100)])
def test_bounds_are_clopper_pearsons(events: int, total: int) -> None:
    high = upper(events, total, 0.05)
    at_most = sum(
        math.comb(total, k) * high**k * (1 - high) ** (total - k) for k in range(events + 1)
    )
    assert at_most == pytest.approx(0.05, rel=1e-6)
    assert lower(total - events, total, 0.05) == pytest.approx(1 - high)
    assert upper(total, total, 0.05) == 1.0


def test_no_errors_in_59_is_the_rule_of_three() -> None:
    assert upper(0, 59, 0.05) < 0.05 < upper(0, 58, 0.05)


def drawn(seed: int, count: int = 2_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Questions whose chance of being answered worse falls with a confidence."""
    draw = np.random.default_rng(seed)
    sure = draw.uniform(size=count)
    dice = draw.uniform(size=count)
    worse = dice < 0.4 * (1 - sure)
    better = dice > 0.97
    return sure, worse, better


def test_the_loss_allowed_is_kept_in_nearly_all_draws() -> None:
    target, beyond = 0.05, 0
    for seed in range(150):
        line = draw_line(*drawn(seed), target)
        # The true loss of sending u >= t: the integral of 0.4 (1 - u) - 0.03.
        t = min(line.threshold, 1.0)
        true = 0.2 * (1 - t) ** 2 - 0.03 * (1 - t)
        beyond += true > target
    assert beyond <= 150 * 0.05 + 3 * math.sqrt(150 * 0.05 * 0.95)


def test_more_is_sent_where_more_is_allowed() -> None:
    shares = [draw_line(*drawn(1), target).share for target in (0.01, 0.03, 0.1, 0.3)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9 > shares[0]


def test_too_few_questions_are_not_enough_evidence() -> None:
    sure = np.linspace(0, 1, 60)
    none = np.zeros(60, bool)
    line = draw_line(sure, none, none, 0.02)
    assert (line.threshold, line.share, line.bound) == (NEVER, 0.0, None)


def test_errors_are_bounded_among_those_sent() -> None:
    sure, worse, _ = drawn(3, 5_000)
    line = draw_error_line(sure, worse, 0.05)
    sent = sure >= line.threshold
    assert line.bound is not None
    assert worse[sent].mean() <= line.bound <= 0.05
    assert line.share == pytest.approx(sent.mean())
    assert draw_error_line(sure[:100], worse[:100], 0.01).threshold == NEVER


def test_a_frontier_goes_from_small_to_large() -> None:
    sure, worse, better = drawn(4)
    small, large = 1.0 - worse, 1.0 - better
    found = frontier(sure, small, large, threshold=0.8)
    first, last = found.points[0], found.points[-1]
    assert (first.large, first.quality) == (0.0, pytest.approx(small.mean()))
    assert (last.large, last.quality) == (1.0, pytest.approx(large.mean()))
    assert found.chosen is not None
    assert found.chosen.large == pytest.approx((sure < 0.8).mean())
    served = np.where(sure >= 0.8, small, large)
    assert found.chosen.quality == pytest.approx(served.mean())
    assert found.area is not None
    assert found.area > 0.6
    assert Frontier.of(found.as_dict()) == found


def test_dollars_of_a_frontier() -> None:
    found = frontier([0.1, 0.9], [0, 1], [1, 1], small_usd=[1, 1], large_usd=[10, 20])
    assert [point.usd for point in found.points] == [1.0, 5.5, 15.0]


def test_a_choice_at_random_has_half_the_area() -> None:
    _, worse, better = drawn(5, 20_000)
    sure = np.random.default_rng(0).uniform(size=len(worse))
    small, large = 1.0 - worse, 1.0 - better
    found = frontier(sure, small, large).area
    assert found == pytest.approx(0.5, abs=0.03)
    interval = bootstrap_area(sure, small, large, rounds=200)
    assert interval is not None
    assert interval[0] < 0.5 < interval[1]


def test_no_gap_has_no_area() -> None:
    assert area(np.array([0.5, 0.6, 0.5])) is None
    assert bootstrap_area([0.1, 0.2], [1, 1], [1, 1], rounds=10) is None
