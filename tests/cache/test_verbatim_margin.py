"""The margin tier: its score, its threshold, and when it is off."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops_kernel.cache.semantic.evidence import wilson
from llmops_kernel.cache.semantic.margin import Judged, MarginTier, State, standing, threshold_for

CACHES = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-1, 1, width=32), min_size=n, max_size=n),
        st.lists(st.integers(0, 5), min_size=n, max_size=n),
    )
)
JUDGED = st.lists(st.tuples(st.floats(-1, 2), st.booleans()), max_size=80)


def arrays(cache):
    return np.array(cache[0], dtype=np.float32), np.array(cache[1], dtype=np.int64)


@given(CACHES)
def test_score_is_bounded_and_agrees_with_its_definition(cache) -> None:
    cosines, groups = arrays(cache)
    found = standing(cosines, groups)
    assert found.best == cosines.max() == cosines[found.entry]
    assert found.group == groups[found.entry]
    others = cosines[groups != found.group]
    assert found.lead == pytest.approx(found.best - others.max() if others.size else 0.0)
    assert 0 <= found.lead <= 2
    assert 0 < found.vote <= 1
    assert found.wordings == (groups == found.group).sum()


@given(CACHES, st.randoms(use_true_random=False))
def test_order_of_entries_does_not_matter(cache, rng) -> None:
    cosines, groups = arrays(cache)
    if len(set(cosines.tolist())) < len(cosines):
        return  # which of two equal entries is the best is left open
    order = list(range(len(cosines)))
    rng.shuffle(order)
    one, other = standing(cosines, groups), standing(cosines[order], groups[order])
    assert (one.group, one.best, one.lead) == (other.group, other.best, other.lead)
    assert one.vote == pytest.approx(other.vote)


def test_an_empty_cache_and_bad_shapes() -> None:
    assert standing(np.zeros(0, np.float32), np.zeros(0, np.int64)).entry == -1
    with pytest.raises(ValueError):
        standing(np.zeros(2, np.float32), np.zeros(3, np.int64))
    with pytest.raises(ValueError):
        standing(np.array([np.nan], np.float32), np.zeros(1, np.int64))


@settings(max_examples=200)
@given(JUDGED, st.floats(0.02, 0.5))
def test_the_threshold_keeps_to_its_target_and_is_the_lowest(pairs, target) -> None:
    judged = [Judged(score, right) for score, right in pairs]
    found = threshold_for(judged, target)

    def bound(score: float) -> float:
        served = [one for one in judged if one.score >= score]
        return wilson(sum(not one.right for one in served), len(served)).high

    safe = [one.score for one in judged if bound(one.score) <= target]
    assert (None if found is None else found.score) == (min(safe) if safe else None)


def calibrated(**options) -> MarginTier:
    tier = MarginTier(target=0.02, min_judged=400, **options)
    for number in range(400):
        tier.learn(1.0 + number / 1_000 if number >= 150 else number / 1_000, number >= 150)
    return tier


def query(lead: float = 0.3, wordings: int = 10):
    groups = np.array([0] * wordings + [1], dtype=np.int64)
    cosines = np.array([0.9] * wordings + [0.9 - lead], dtype=np.float32)
    return standing(cosines, groups)


def test_it_is_off_until_there_is_evidence() -> None:
    tier = MarginTier(target=0.02, min_judged=400)
    assert tier.state is State.NOT_ENOUGH
    for _ in range(399):
        tier.learn(1.5, True)
    assert tier.state is State.NOT_ENOUGH
    assert not tier.serves(query())
    assert tier.missing.startswith("1 more judged lookups; 189")
    tier.learn(1.5, True)
    assert tier.state is State.ON


def test_it_stays_off_where_no_score_is_safe() -> None:
    tier = MarginTier(min_judged=400)
    for number in range(400):
        tier.learn(1.0, number % 2 == 0)
    assert tier.state is State.UNSAFE


def test_it_serves_clear_leads_of_mature_groups_only() -> None:
    tier = calibrated()
    assert tier.threshold is not None
    assert tier.threshold.score == pytest.approx(1.15)
    assert tier.serves(query())
    assert not tier.serves(query(wordings=9))
    assert not tier.serves(query(lead=0.01))
    alone = standing(np.full(20, 0.99, np.float32), np.zeros(20, np.int64))
    assert not tier.serves(alone)  # nothing else is cached: no lead to speak of


def test_wrong_audits_switch_it_off_for_good() -> None:
    tier = calibrated()
    for _ in range(200):
        assert tier.audit(True) is State.ON
    states = [tier.audit(False) for _ in range(10)]
    assert states[-1] is State.BROKEN
    tier.audit(True)
    assert tier.state is State.BROKEN
    assert not tier.serves(query())
    tier.restart()
    assert tier.state is State.NOT_ENOUGH
    assert tier.judged == 0


def test_a_drift_does_not_hide_behind_an_old_calibration() -> None:
    tier = MarginTier(target=0.02, min_judged=400)
    for _ in range(100_000):
        tier.learn(1.5, True)
    assert [tier.audit(False) for _ in range(3)][-1] is State.BROKEN


def test_about_one_hit_in_twenty_is_audited_and_always_the_same() -> None:
    tier = MarginTier()
    drawn = [tier.wants_audit(f"hit-{number}") for number in range(4_000)]
    assert 140 <= sum(drawn) <= 260
    assert drawn == [tier.wants_audit(f"hit-{number}") for number in range(4_000)]
