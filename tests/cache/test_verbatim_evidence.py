"""Wilson's interval, and how many hits a bound needs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.cache.semantic.evidence import Evidence, Verdict, trials_needed, wilson

COUNTS = st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_published_values() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20."""
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert round(wilson(0, 20).high, 4) == 0.1611
    assert wilson(0, 0).as_dict() == {"value": None, "low": 0.0, "high": 1.0}


def test_error_free_hits_that_a_bound_needs() -> None:
    assert trials_needed(0.02) == 189
    assert trials_needed(0.01) == 381
    assert trials_needed(0.05) == 73


@given(COUNTS)
def test_the_interval_holds_its_share(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert found.value is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    mirrored = wilson(counts[1] - counts[0], counts[1])
    assert mirrored.low == pytest.approx(1 - found.high)


@given(st.floats(0.001, 0.5), st.integers(0, 5))
def test_needed_is_the_least_number(target: float, errors: int) -> None:
    needed = trials_needed(target, errors)
    assert wilson(errors, needed).high <= target
    assert needed <= max(errors, 1) or wilson(errors, needed - 1).high > target


@pytest.mark.parametrize(
    ("hits", "errors", "verdict"),
    [
        (0, 0, Verdict.NOT_ENOUGH), (380, 0, Verdict.NOT_ENOUGH), (381, 0, Verdict.MET),
        (381, 1, Verdict.BROKEN), (600, 1, Verdict.MET), (20, 5, Verdict.BROKEN),
        (20, 1, Verdict.NOT_ENOUGH),
    ],
)  # fmt: skip
def test_verdicts_on_one_percent(hits: int, errors: int, verdict: Verdict) -> None:
    assert Evidence(hits, errors).verdict(0.01) is verdict


def test_impossible_counts_are_refused() -> None:
    for errors, trials in ((1, 0), (-1, 5)):
        with pytest.raises(ValueError):
            wilson(errors, trials)
        with pytest.raises(ValueError):
            Evidence(trials, errors)
    with pytest.raises(ValueError):
        trials_needed(0)
