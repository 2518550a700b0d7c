"""Retrieval metrics against values computed by hand, and their laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.rag.evaluate import metrics
from llmops_kernel.rag.evaluate.gold import Place, whole_document
from llmops_kernel.rag.evaluate.report import interval

TEXT = "aa bb cc dd ee ff gg hh ii jj"  # ten tokens, one begins every 3 characters
A, B, C = Place("d", 0, 8), Place("d", 9, 17), Place("d", 18, 26)
OTHER = Place("e", 0, 8)


def tokens() -> metrics.Tokens:
    return metrics.Tokens(lambda _: TEXT)


@pytest.mark.parametrize(
    ("result", "gold", "found"),
    [
        (Place("d", 0, 100), Place("d", 40, 50), True),  # around it
        (Place("d", 40, 50), Place("d", 0, 100), True),  # within it
        (Place("d", 0, 45), Place("d", 40, 50), True),  # half of it
        (Place("d", 0, 44), Place("d", 40, 50), False),  # less than half
        (Place("d", 50, 90), Place("d", 40, 50), False),  # next to it
        (Place("e", 0, 100), Place("d", 40, 50), False),  # another document
        (Place("d", 90, 120), whole_document("d"), True),
        (Place("e", 90, 120), whole_document("d"), False),
    ],
)
def test_what_counts_as_found(result: Place, gold: Place, found: bool) -> None:
    assert metrics.finds(result, gold) is found


def test_recall_counts_passages_and_hit_any_of_them() -> None:
    assert metrics.recall([A, OTHER], [A, B]) == 0.5
    assert metrics.recall([A, A, A], [A, B]) == 0.5
    assert metrics.recall([B, A], [A, B]) == 1.0
    assert metrics.recall([], [A]) == 0.0
    assert metrics.hit([OTHER, B], [A, B]) == 1.0
    assert metrics.hit([OTHER], [A, B]) == 0.0


def test_reciprocal_rank() -> None:
    assert metrics.reciprocal_rank([OTHER, C, A], [A]) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank([A], [A]) == 1.0
    assert metrics.reciprocal_rank([OTHER] * 10 + [A], [A]) == 0.0


def test_ndcg_by_hand() -> None:
    # Gold at ranks 2 and 3 of an ideal 1 and 2.
    wanted = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    assert metrics.ndcg([OTHER, A, B], [A, B], 2) == pytest.approx(wanted)
    assert metrics.ndcg([A, B], [A, B], 2) == 1.0
    assert metrics.ndcg([OTHER, A], [A], 1) == pytest.approx(1 / math.log2(3))
    # Beyond ten nothing gains.
    assert metrics.ndcg([OTHER] * 10 + [A], [A], 1) == 0.0


def test_repeats_of_a_passage_gain_nothing() -> None:
    again = Place("d", 1, 8)
    assert metrics.ndcg([A, again, B], [A, B], 2) == pytest.approx(
        (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    )
    assert metrics.ndcg([Place("d", 0, 30)] * 10, [whole_document("d")], 1) == 1.0


def test_chunks_that_hold_the_gold_are_counted_once() -> None:
    def leaves(doc_id: str) -> list[Place]:
        return [Place(doc_id, 0, 50), Place(doc_id, 51, 100)]

    both = [Place("d", 3, 10), Place("d", 20, 30)]
    assert metrics.needed_chunks(both, leaves) == 1
    assert metrics.needed_chunks([*both, Place("d", 60, 70), Place("e", 0, 5)], leaves) == 3
    assert metrics.needed_chunks([whole_document("d"), whole_document("e")], leaves) == 2
    # One chunk with both passages is all that an ideal search returns.
    assert metrics.ndcg([Place("d", 0, 50)], both, 1) == 1.0


def test_token_measures_by_hand() -> None:
    # Gold: tokens 2 to 5 (4). Results: 0 to 3 and 3 to 6 (8 with the shared one counted twice).
    gold = [Place("d", 6, 17)]
    results = [Place("d", 0, 11), Place("d", 9, 20)]
    found = tokens().score(results, gold)
    assert found is not None
    assert found.recall == 1.0
    assert found.precision == pytest.approx(4 / 8)
    assert found.iou == pytest.approx(4 / (4 + 8 - 4))


def test_token_measures_of_parts() -> None:
    found = tokens().score([Place("d", 0, 8)], [Place("d", 6, 17)])  # 0 to 2 beside 2 to 5
    assert found is not None
    assert (found.recall, found.precision) == (pytest.approx(1 / 4), pytest.approx(1 / 3))
    assert found.iou == pytest.approx(1 / 6)
    nothing = tokens().score([], [Place("d", 6, 17)])
    assert nothing == metrics.TokenScores(0.0, 0.0, 0.0)
    elsewhere = tokens().score([OTHER], [A])
    assert elsewhere == metrics.TokenScores(0.0, 0.0, 0.0)


def test_gold_that_overlaps_counts_once() -> None:
    found = tokens().score([Place("d", 0, 29)], [Place("d", 0, 11), Place("d", 6, 17)])
    assert found is not None
    assert (found.recall, found.precision) == (1.0, pytest.approx(6 / 10))


def test_tokens_of_whole_documents_are_not_counted() -> None:
    assert tokens().score([A], [A, whole_document("d")]) is None


places = st.builds(
    lambda doc, start, length: Place(doc, start, start + length),
    st.sampled_from(["d", "e"]),
    st.integers(0, 28),
    st.integers(1, 12),
)
results = st.lists(places, max_size=15)
golds = st.lists(places, min_size=1, max_size=5, unique=True)


def leaves(doc_id: str) -> list[Place]:
    return [Place(doc_id, start, start + 5) for start in range(0, 45, 5)]


@given(results, golds)
def test_all_scores_are_shares(found: list[Place], gold: list[Place]) -> None:
    needed = metrics.needed_chunks(gold, leaves)
    token = tokens().score(found, gold)
    assert token is not None
    scores = [
        metrics.recall(found, gold),
        metrics.hit(found, gold),
        metrics.reciprocal_rank(found, gold),
        metrics.ndcg(found, gold, needed),
        token.recall,
        token.precision,
        token.iou,
    ]
    assert all(0 <= score <= 1 for score in scores)
    assert token.iou <= min(token.recall, token.precision) + 1e-12
    assert (metrics.recall(found, gold) > 0) == bool(metrics.hit(found, gold))
    assert (metrics.ndcg(found, gold, needed) > 0) == (metrics.reciprocal_rank(found, gold) > 0)


@given(results, golds, places)
def test_one_more_result_never_lowers_recall(
    found: list[Place], gold: list[Place], more: Place
) -> None:
    assert metrics.recall([*found, more], gold) >= metrics.recall(found, gold)
    assert metrics.ndcg([*found, more], gold, 5) >= metrics.ndcg(found, gold, 5)
    before, after = tokens().score(found, gold), tokens().score([*found, more], gold)
    assert before is not None
    assert after is not None
    assert after.recall >= before.recall


@given(results, golds)
def test_what_was_said_twice_is_not_found_twice(found: list[Place], gold: list[Place]) -> None:
    doubled = [each for each in found for _ in range(2)]
    assert metrics.recall(doubled, gold) == metrics.recall(found, gold)
    assert metrics.ndcg(doubled, gold, 5) <= metrics.ndcg(found, gold, 5) + 1e-12
    once, twice = tokens().score(found, gold), tokens().score(doubled, gold)
    assert once is not None
    assert twice is not None
    assert twice.recall == once.recall
    assert twice.iou <= once.iou
    assert twice.iou < once.iou or once.iou == 0


@given(golds)
def test_gold_itself_scores_full(gold: list[Place]) -> None:
    inside = [each for each in gold if each.end <= len(TEXT)]
    if inside:
        assert metrics.recall(inside, inside) == 1
        assert metrics.reciprocal_rank(inside, inside) == 1
        score = tokens().score(inside, inside)
        assert score is not None
        assert score.recall in (0.0, 1.0)  # 0: the gold is within one token


def test_intervals_are_reproducible_and_hold_the_mean() -> None:
    values = [0.0, 1.0] * 50
    one = interval(values, draws=1_000, seed=3)
    assert one == interval(values, draws=1_000, seed=3)
    assert one != interval(values, draws=1_000, seed=4)
    assert one.low < one.mean == 0.5 < one.high
    # The bootstrap of a share agrees with the normal approximation: 1.96 * 0.5 / 10.
    assert one.high - one.low == pytest.approx(2 * 0.098, abs=0.02)
    many = interval(values * 25, draws=1_000, seed=3)
    assert many.high - many.low < 0.3 * (one.high - one.low)


def test_an_interval_of_equal_values_has_no_width() -> None:
    assert interval([0.25] * 7, draws=200, seed=0).low == 0.25
    alone = interval([0.0, 1.0], draws=0, seed=0)
    assert (alone.low, alone.mean, alone.high, alone.questions) == (0.5, 0.5, 0.5, 2)
