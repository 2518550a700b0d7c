"""Coverage, thresholds and break-even of a router, by hand-made guesses whose answer is known."""

from __future__ import annotations

import math

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.labs.intents import Guess
from llmops_kernel.labs.intents_worth import Costs, break_even, curve, threshold_for


def guesses(*each: tuple[float, bool], phrasings: int = 0) -> list[Guess]:
    return [
        Guess("a", confidence, right, str(number % phrasings if phrasings else number))
        for number, (confidence, right) in enumerate(each)
    ]


def test_curve_counts_answers_and_mistakes() -> None:
    some = guesses((0.9, True), (0.8, False), (0.7, True), (0.1, False))
    low, middle, none = curve(some, [0.0, 0.75, 1.01])
    assert (low.coverage, low.wrong, low.precision) == (1.0, 0.5, 0.5)
    assert (middle.coverage, middle.wrong, middle.precision) == (0.5, 0.25, 0.5)
    assert (none.coverage, none.wrong, none.precision) == (0.0, 0.0, None)
    with pytest.raises(UsageProblem):
        curve([], [0.5])


def test_threshold_is_the_lowest_that_is_precise_enough() -> None:
    some = guesses((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False))
    assert threshold_for(some, 1.0) == 0.8
    assert threshold_for(some, 0.75) == 0.6  # 3 of 4
    assert threshold_for(some, 0.6) == 0.5
    assert threshold_for(guesses((0.9, False)), 0.5) > 1
    assert threshold_for([], 0.5) > 1


def test_equally_confident_guesses_are_taken_together() -> None:
    some = guesses((0.9, True), (0.5, True), (0.5, False), (0.5, False))
    assert threshold_for(some, 0.6) == 0.9


def test_break_even_without_mistakes_is_fixed_cost_by_saving() -> None:
    some = guesses(*[(0.9, True)] * 20, *[(0.1, False)] * 20)
    found = break_even(some, 0.5, Costs(fixed=100, large=0.01))
    assert found.saving == pytest.approx(0.005)
    assert found.messages == pytest.approx(20_000)
    assert found.low < found.messages < found.high < math.inf
    assert found.never == 0


def test_costs_of_mistakes_and_of_the_small_model_count() -> None:
    some = guesses((0.9, True), (0.9, True), (0.9, True), (0.9, False))
    cheap = break_even(some, 0.5, Costs(100, 0.01, small=0.001, error=0.02, large_errors=0.1))
    # taken (large - small) + error (large_errors - wrong) = .009 + .02 (.1 - .25)
    assert cheap.saving == pytest.approx(0.006)
    dear = break_even(some, 0.5, Costs(100, 0.01, error=1.0))
    assert dear.messages == math.inf
    assert dear.high == math.inf
    assert dear.never > 0.5
    idle = break_even(some, 1.0, Costs(100, 0.01, small=0.001))
    assert idle.saving == pytest.approx(-0.001)  # asked, and never trusted


def test_messages_of_one_phrasing_are_no_more_evidence_than_one() -> None:
    many = [(0.9, number % 4 != 0) for number in range(80)]
    costs = Costs(100, 0.01, error=0.02)
    singly = break_even(guesses(*many), 0.5, costs)
    # Twenty messages a phrasing, all of one kind.
    kinds = [Guess("a", 0.9, number // 20 != 0, str(number // 20)) for number in range(80)]
    together = break_even(kinds, 0.5, costs)
    assert together.messages == pytest.approx(singly.messages)
    assert together.low < singly.low
    assert together.high > singly.high


def test_the_interval_is_the_same_every_time() -> None:
    some = guesses(*[(0.9, number % 5 != 0) for number in range(60)], phrasings=20)
    costs = Costs(100, 0.01, error=0.01)
    assert break_even(some, 0.5, costs) == break_even(some, 0.5, costs)


@pytest.mark.parametrize("wrong", [{"fixed": -1}, {"large": math.nan}, {"error": math.inf}])
def test_costs_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageProblem):
        Costs(**{"fixed": 1.0, "large": 1.0, **wrong})
    with pytest.raises(UsageProblem):
        break_even([], 0.5, Costs(1, 1))
