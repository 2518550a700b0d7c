"""Searching: modes, fusion, filters, diversity, merging; against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmops_kernel.embed import builtin
from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.rag.retrieve.diverse import diversified
from llmops_kernel.rag.retrieve.fusion import minmax, reciprocal_rank
from llmops_kernel.rag.where import Condition, Where, parse_condition

SCORES = hnp.arrays(np.float32, st.integers(1, 30), elements=st.floats(-1, 50, width=32))


@given(SCORES, st.floats(0, 1), st.randoms())
def test_minmax_is_a_weighted_mean_of_scaled_scores(dense, weight, random):
    lexical = np.array([random.uniform(0, 9) for _ in dense], np.float32)
    total = minmax(dense, lexical, dense_floor=-1, lexical_floor=0, weight=weight)
    for scores, floor, share in ((dense, -1, weight), (lexical, 0, 1 - weight)):
        top = float(scores.max())
        if top > floor:
            total = total - share * np.clip((scores - floor) / (top - floor), 0, 1)
    assert np.allclose(total, 0, atol=1e-5)


def test_scores_that_are_all_equal_say_nothing():
    flat = np.zeros(3, np.float32)
    dense = np.array([0.1, 0.3, 0.2], np.float32)
    total = minmax(dense, flat, dense_floor=0.1, lexical_floor=0.0, weight=0.6)
    assert np.allclose(total, [0, 0.6, 0.3])
    assert np.allclose(minmax(flat, flat, dense_floor=0, lexical_floor=0, weight=0.6), 0)


def test_reciprocal_ranks():
    total = reciprocal_rank([[0, 1], [1]], 3)
    assert np.allclose(total, [1 / 61, 1 / 62 + 1 / 61, 0])


def test_diversity_leaves_repeats_for_later():
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    scores = np.array([1.0, 0.9, 0.5], np.float32)
    assert diversified(scores, vectors, 3, 0.0) == [0, 1, 2]
    assert diversified(scores, vectors, 3, 0.5) == [0, 2, 1]
    assert diversified(scores, vectors, 9, 0.5) == [0, 2, 1]


@pytest.fixture
def index(library, folder):
    made = library.create("bank", size=40)
    ingest(made, [str(folder)])
    return made


def test_dense_scores_are_cosines_and_hybrid_joins_both(index):
    question = "How much is a new card?"
    vector = builtin().embed_query(question)
    found = index.retriever.search(question, SearchOptions(k=20, mode="dense"))
    assert len(found) == index.record.totals()[1]
    for each in found:
        exact = float(builtin().embed_texts([each.chunk.embedded_text])[0] @ vector)
        assert each.cosine == pytest.approx(exact, abs=0.03)  # the 8-bit body knows its batch
        assert each.score == each.cosine
    words = index.retriever.search(question, SearchOptions(k=20, mode="bm25"))
    assert 0 < len(words) < len(found)
    assert all(each.bm25 == each.score > 0 for each in words)
    both = index.retriever.search(question, SearchOptions(k=20))
    assert {each.chunk.chunk_id for each in both} == {each.chunk.chunk_id for each in found}
    assert all(0 <= each.score <= 1 for each in both)
    assert [each.score for each in both] == sorted((each.score for each in both), reverse=True)


def test_a_chunk_that_only_words_find_still_has_its_cosine(index):
    options = SearchOptions(k=20, pool=1)
    dense_best = index.retriever.search("Notice", SearchOptions(k=1, mode="dense"))[0]
    both = index.retriever.search("working days plastic Notice Pot", options)
    extra = [each for each in both if each.chunk.chunk_id != dense_best.chunk.chunk_id]
    vector = builtin().embed_query("working days plastic Notice Pot")
    known = index.record.vectors([each.chunk.chunk_id for each in extra])
    for each in extra:
        assert each.cosine == pytest.approx(float(known[each.chunk.chunk_id] @ vector), abs=0.04)


def test_searching_twice_finds_the_same_also_after_opening_again(index, make_library):
    question = "transfer to another country"
    first = index.retriever.search(question)
    again = make_library().open("bank").retriever.search(question)  # reads the kept BM25 files
    assert [(each.chunk, each.score) for each in first] == [
        (each.chunk, each.score) for each in again
    ]


def test_words_nobody_wrote_find_by_meaning_alone(index):
    assert index.retriever.search("zzzz qqqq", SearchOptions(mode="bm25")) == []
    assert index.retriever.search("zzzz qqqq")
    assert index.retriever.search("   ") == []


def test_an_empty_index_finds_nothing(library):
    index = library.create("empty")
    for mode in ("dense", "bm25", "hybrid"):
        assert index.retriever.search("card", SearchOptions(mode=mode)) == []


def test_filters_hold_in_every_mode(index):
    for text, expected in (("version=2026", {"fees.md"}), ("source in fees.md,x", {"fees.md"})):
        for mode in ("dense", "bm25", "hybrid"):
            where = Where(conditions=(parse_condition(text),))
            found = index.retriever.search("card", SearchOptions(k=20, mode=mode, where=where))
            assert {each.chunk.source for each in found} == expected
    none = Where(conditions=(Condition("version", "==", 1999),))
    assert index.retriever.search("card", SearchOptions(where=none)) == []


def test_a_reranker_has_the_last_word(index):
    def shortest(_question, texts):
        return [-len(text) for text in texts]

    found = index.retriever.search("card", SearchOptions(k=3), reranker=shortest)
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)
    assert found[0].score == -min(
        len(each.chunk.embedded_text)
        for each in index.retriever.search("card", SearchOptions(k=20))
    )


def test_children_merge_into_their_parent(library, tmp_path):
    sections = "\n\n".join(
        f"## Part {n}\n\n"
        + " ".join(f"Rule {n}.{m} is about badgers and lake {m}." for m in range(40))
        for n in range(3)
    )
    (tmp_path / "rules.md").write_text(f"# Rules\n\n{sections}")
    index = library.create("rules", chunker="parent-child", size=60)
    ingest(index, [str(tmp_path / "rules.md")])
    whole = index.retriever.search("badgers lake", SearchOptions(k=3, merge=0.5))
    parts = index.retriever.search("badgers lake", SearchOptions(k=3, merge=0.0))
    assert all(each.chunk.leaf for each in parts)
    parents = [each for each in whole if not each.chunk.leaf]
    assert parents
    for parent in parents:
        assert len(parent.chunk.text) > max(len(each.chunk.text) for each in parts)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "sparse"}, {"fusion": "max"}, {"k": 0}, {"weight": 1.5}, {"diversity": -1}],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(UsageProblem):
        SearchOptions(**wrong)


@pytest.mark.parametrize(
    ("text", "facts", "holds"),
    [
        ("version=2026", {"version": 2026}, True),
        ("version=2026", {"version": "2026"}, False),
        ('version="2026"', {"version": "2026"}, True),
        ("page >= 3", {"page": 3}, True),
        ("page >= 3", {"page": "x"}, False),
        ("page >= 3", {}, False),
        ("area != fees", {"area": "cards"}, True),
        ("area in fees, cards", {"area": "cards"}, True),
        ("draft=false", {"draft": False}, True),
    ],
)
def test_conditions(text, facts, holds):
    assert parse_condition(text).holds(facts) is holds


@pytest.mark.parametrize("text", ["", "version", "= 3", "version ="])
def test_what_is_no_condition(text):
    with pytest.raises(UsageProblem, match="not a filter"):
        parse_condition(text)


def test_there_is_no_way_to_see_all_tenants():
    assert Where().tenants == ("",)
    assert not Where("*").holds({"tenant": "harbor"})
    assert Where("harbor").tenants == ("", "harbor")
