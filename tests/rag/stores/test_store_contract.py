"""What every vector store does, on each that can run on this machine.

Pinecone runs here against a loopback server that speaks its documented JSON; the hosted service was
not reached.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.stores import VectorStore, open_store
from llmops_kernel.rag.where import Condition, Where

# milvus-lite leaves the log of a dropped collection open, for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*wal_:ResourceWarning")

Opening = Callable[..., VectorStore]
Making = Callable[..., Chunk]
DIM = 24
ALL = 10_000
_TENANTS = ["", "acme", "Acme", 'o\'neil "x"', "a\0b", "a\ufffdb", "münchen", "' or '1'='1", "\\"]
# One name with values of many types, names that stores keep for themselves, values that break out
# of quotes, and numbers at the edges.
_VALUES: list[Any] = [
    *(
        "2026",
        "fees",
        "Zürich — 日本",
        "o'neil",
        'say "hi"',
        "a:b",
        "100%",
        "\\'; DROP TABLE x",
        "",
    ),
    *("true", "1e3", "nan", "{x}", "a\0b", "\ud800", "x" * 900, 2026, 3, 3.0, 3.5, -1, 0, 1e-300),
    *(True, False, 2**53, 2**53 + 1, 10**400, 1e300, math.inf),
]
_NAMES = ["version", "kind", "naïve", "dot.ted", "a-b", "text", "id", "in", "embedding", "x" * 80]


def _unit(rows: int, seed: int, dim: int = DIM) -> np.ndarray:
    """Unit vectors around a few centres, as texts on a few subjects have."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, rows // 30), dim))
    made = centres[rng.integers(0, len(centres), rows)] + 0.6 * rng.standard_normal((rows, dim))
    unit: np.ndarray = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _exact(chunks: list[Chunk], vectors: np.ndarray, asked: np.ndarray, where: Where) -> Any:
    cosines = vectors.astype(np.float64) @ asked.astype(np.float64)
    return {c.chunk_id: s for c, s in zip(chunks, cosines, strict=True) if where.holds(c.facts)}


def _mixed_chunks(making: Making) -> list[Chunk]:
    rng = np.random.default_rng(7)
    chunks = []
    for number in range(120):
        names = rng.choice(len(_NAMES), size=3, replace=False)
        chunks.append(
            making(
                f"docs/{number % 7}/{number}.md",
                f"text {number}\0\ud800",
                title=f"Tïtle: {number % 5}",
                tenant=_TENANTS[number % len(_TENANTS)],
                metadata={_NAMES[n]: _VALUES[rng.integers(len(_VALUES))] for n in names},
                pages=((1, 0),) if number % 3 else (),
            )
        )
    return chunks


def test_written_replaced_and_deleted(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(3, seed=1)
    chunks = [making(f"{name}.md", metadata={"version": "1"}) for name in "abc"]
    store.upsert(chunks, vectors)
    assert store.count() == 3
    best = store.query(vectors[1], 1, Where())
    assert [hit.chunk_id for hit in best] == [chunks[1].chunk_id]

    # The same ids again, with other vectors and facts: replaced, not doubled.
    changed = [making(f"{name}.md", metadata={"version": "2"}) for name in "abc"]
    assert [c.chunk_id for c in changed] == [c.chunk_id for c in chunks]
    store.upsert(changed, vectors[[2, 0, 1]])
    assert store.count() == 3
    assert store.query(vectors[1], 1, Where())[0].chunk_id == chunks[2].chunk_id
    assert store.query(vectors[1], 3, Where("", (Condition("version", "==", "1"),))) == []
    assert len(store.query(vectors[1], 3, Where("", (Condition("version", "==", "2"),)))) == 3

    store.delete([chunks[2].chunk_id, "ffffffffffffffffffffffff", "no id at all"])
    store.delete([])
    assert store.count() == 2
    assert chunks[2].chunk_id not in {h.chunk_id for h in store.query(vectors[1], 9, Where())}


def test_order_and_scores_are_the_exact_cosines(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(300, seed=2)
    chunks = [making(f"{number}.md") for number in range(300)]
    store.upsert(chunks[:200], vectors[:200])
    store.upsert(chunks[200:], vectors[200:])
    found = 0
    for number in range(20):
        asked = _unit(1, seed=100 + number)[0] if number % 2 else vectors[number]
        exact = _exact(chunks, vectors, asked, Where())
        best = sorted(exact, key=lambda key: -exact[key])[:10]
        hits = store.query(asked, 10, Where())
        assert len(hits) == 10
        assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
        for hit in hits:
            assert hit.score == pytest.approx(exact[hit.chunk_id], abs=1e-3)
        found += len(set(best) & {hit.chunk_id for hit in hits})
    assert found >= 0.95 * 200
    everything = store.query(vectors[0], ALL, Where())
    assert len(everything) == len({hit.chunk_id for hit in everything}) == 300


def test_opposite_vectors_have_a_score_of_minus_one(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(1, seed=3)
    store.upsert([making("a.md")], 5 * vectors)  # of any length
    assert store.query(-vectors[0], 1, Where())[0].score == pytest.approx(-1, abs=1e-3)
    assert store.query(7 * vectors[0], 1, Where())[0].score == pytest.approx(1, abs=1e-3)


_CONDITIONS = [
    Condition("version", "==", "2026"),
    Condition("version", "!=", "2026"),
    Condition("version", ">", "2025"),
    Condition("version", ">=", "2026"),
    Condition("version", "<", "2026"),
    Condition("version", "<=", "2025"),
    Condition("version", "in", ("2025", "2027", 5)),
    Condition("size", "==", 4),
    Condition("size", "!=", 4),
    Condition("size", ">", 4),
    Condition("size", ">=", 4.0),
    Condition("size", "<", 4.5),
    Condition("size", "<=", 4),
    Condition("size", "in", (1, 3.5, "9")),
    Condition("page", ">=", 2),
    Condition("source", "==", "https://bank.example/docs/1.md?v=2"),
    Condition("draft", "==", True),
    Condition("absent", "!=", "x"),
    Condition("version", "in", ()),
]


def test_each_operator(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(24, seed=4)
    chunks = [
        making(
            f"https://bank.example/docs/{n}.md?v=2",
            metadata={
                "version": f"202{5 + n % 3}",
                "size": n / 2 if n % 4 else n // 2,
                "draft": n % 5 == 0,
            },
            pages=((n % 4, 0),),
        )
        for n in range(24)
    ]
    store.upsert(chunks, vectors)
    for condition in _CONDITIONS:
        where = Where("", (condition,))
        exact = _exact(chunks, vectors, vectors[0], where)
        best = sorted(exact, key=lambda key: -exact[key])
        for k in (3, ALL):
            hits = [hit.chunk_id for hit in store.query(vectors[0], k, where)]
            assert hits == best[:k], condition


@pytest.fixture
def mixed(opening: Opening, making: Making) -> Iterator[tuple[VectorStore, list[Chunk], Any]]:
    store = opening("mixed")
    chunks = _mixed_chunks(making)
    vectors = _unit(len(chunks), seed=5)
    store.upsert(chunks, vectors)
    yield store, chunks, vectors
    store.drop()


_value = st.sampled_from(_VALUES) | st.text(max_size=6) | st.integers() | st.floats()
_condition = st.builds(
    Condition,
    st.sampled_from([*_NAMES, "tenant", "title", "source", "doc_id", "page", "none"]),
    st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
    _value,
) | st.builds(
    Condition,
    st.sampled_from([*_NAMES, "title", "page"]),
    st.just("in"),
    st.lists(_value, max_size=4).map(tuple),
)


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tenant=st.sampled_from(_TENANTS) | st.text(max_size=5),
    conditions=st.lists(_condition, max_size=2).map(tuple),
    k=st.sampled_from([1, 5, ALL]),
)
def test_a_search_sees_what_where_lets_through_all_of_it_and_nothing_else(
    mixed: tuple[VectorStore, list[Chunk], Any],
    tenant: str,
    conditions: tuple[Condition, ...],
    k: int,
) -> None:
    store, chunks, vectors = mixed
    where = Where(tenant, conditions)
    exact = _exact(chunks, vectors, vectors[0], where)
    best = sorted(exact, key=lambda key: -exact[key])[:k]
    assert [hit.chunk_id for hit in store.query(vectors[0], k, where)] == best


def test_the_nearest_is_found_behind_many_that_do_not_pass(
    opening: Opening, making: Making
) -> None:
    store = opening()
    angles = [*np.linspace(0, 0.5, 80), 0.6, *np.linspace(0.7, 1.0, 5)]
    vectors = np.zeros((len(angles), DIM), dtype=np.float32)
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    chunks = [
        making(
            f"{n}.md",
            tenant="acme" if n > 80 else "",
            metadata={"state": "draft" if n < 80 else "final"},
        )
        for n in range(len(angles))
    ]
    store.upsert(chunks, vectors)
    where = Where("acme", (Condition("state", "!=", "draft"),))
    hits = store.query(vectors[0], 3, where)
    # The shared chunk is nearer than all of the tenant's, though eighty drafts hide it.
    assert [hit.chunk_id for hit in hits] == [chunk.chunk_id for chunk in chunks[80:83]]


def test_each_tenant_sees_its_own_and_the_shared(
    mixed: tuple[VectorStore, list[Chunk], Any],
) -> None:
    store, chunks, vectors = mixed
    for tenant in [*_TENANTS, "nobody"]:
        seen = {hit.chunk_id for hit in store.query(vectors[0], ALL, Where(tenant))}
        assert seen == {c.chunk_id for c in chunks if c.tenant in {"", tenant}}


def test_a_chunk_that_moves_to_another_tenant_is_left_nowhere_else(
    opening: Opening, making: Making
) -> None:
    store = opening()
    vectors = _unit(1, seed=6)
    chunk = making("a.md", tenant="acme")
    store.upsert([chunk], vectors)
    store.upsert([dataclasses.replace(chunk, tenant="globex")], vectors)
    assert store.count() == 1
    assert store.query(vectors[0], 5, Where("acme")) == []
    assert len(store.query(vectors[0], 5, Where("globex"))) == 1


def test_closing_and_opening_again_keeps_the_data(opening: Opening, making: Making) -> None:
    vectors = _unit(5, seed=8)
    chunks = [making(f"{n}.md", tenant="acme" if n else "") for n in range(5)]
    first = opening()
    first.upsert(chunks, vectors)
    first.close()
    first.close()
    for use in (first.count, first.drop, lambda: first.query(vectors[0], 1, Where())):
        with pytest.raises(StoreError, match="closed"):
            use()
    second = opening()
    assert second.count() == 5
    assert second.query(vectors[3], 1, Where("acme"))[0].chunk_id == chunks[3].chunk_id
    second.upsert(chunks[:1], vectors[:1])
    assert second.count() == 5


def test_indexes_do_not_mix_however_alike_their_names(opening: Opening, making: Making) -> None:
    vectors = _unit(3, seed=9)
    names = ["my docs", "My-docs", "日本"]
    stores = [opening(name) for name in names]
    for number, store in enumerate(stores):
        store.upsert([making(f"{number}.md")], vectors[number : number + 1])
    for number, store in enumerate(stores):
        assert store.count() == 1
        (hit,) = store.query(vectors[number], 5, Where())
        assert hit.chunk_id == making(f"{number}.md").chunk_id
    stores[0].close()
    stores[1].drop()
    assert stores[2].count() == 1
    assert opening(names[0]).count() == 1


def test_dropping_removes_all_and_writing_begins_anew(opening: Opening, making: Making) -> None:
    vectors = _unit(3, seed=10)
    chunks = [making(f"{n}.md", tenant=["", "acme", "globex"][n]) for n in range(3)]
    store = opening()
    store.upsert(chunks, vectors)
    store.drop()
    store.drop()
    assert store.count() == 0
    assert store.query(vectors[0], 3, Where("acme")) == []
    store.delete([chunks[0].chunk_id])
    again = opening()
    assert again.count() == 0
    store.upsert(chunks[:2], vectors[:2])
    assert store.count() == 2
    assert len(store.query(vectors[0], 3, Where("acme"))) == 2
    assert len(store.query(vectors[0], 3, Where("globex"))) == 1


def test_an_empty_index_has_no_answers(opening: Opening) -> None:
    store = opening()
    asked = _unit(1, seed=11)[0]
    assert store.count() == 0
    assert store.query(asked, 5, Where("acme", (Condition("x", ">", 1),))) == []
    assert store.query(asked, 0, Where()) == []
    store.upsert([], np.zeros((0, DIM), dtype=np.float32))
    store.delete(["a"])
    assert store.count() == 0


def test_vectors_that_do_not_fit_are_refused(opening: Opening, making: Making) -> None:
    store = opening()
    chunk = making("a.md")
    for vectors in (
        _unit(1, 1, DIM + 1),
        _unit(2, 1),
        np.zeros((1, DIM)),
        np.full((1, DIM), math.nan),
    ):
        with pytest.raises(UsageProblem):
            store.upsert([chunk], vectors)
    with pytest.raises(UsageProblem, match="do not fit"):
        store.query(_unit(1, 1, DIM + 1)[0], 1, Where())
    assert store.count() == 0


def test_another_embedder_on_the_same_index_is_refused(
    opening: Opening, making: Making, place: str
) -> None:
    store = opening()
    store.upsert([making("a.md")], _unit(1, seed=12))
    other = opening(dim=DIM + 8)
    with pytest.raises(StoreError, match="another length") as caught:
        other.upsert([making("b.md")], _unit(1, 13, DIM + 8))
    assert "ingest its documents again" in caught.value.hint
    with pytest.raises(StoreError, match="another length"):
        other.query(_unit(1, 13, DIM + 8)[0], 1, Where())
    assert store.count() == 1
    other.drop()
    if not place.startswith("pinecone"):  # there the length belongs to the Pinecone index
        other.upsert([making("b.md")], _unit(1, 13, DIM + 8))
        assert other.count() == 1


def test_what_failed_half_way_is_repaired_by_the_next_run(opening: Opening, making: Making) -> None:
    store: Any = opening()
    store.batch = 4
    vectors = _unit(10, seed=14)
    good = [making(f"{n}.md", metadata={"n": n}) for n in range(10)]
    bad = [making(f"{n}.md", metadata={"n": object() if n == 6 else n}) for n in range(10)]
    with pytest.raises(StoreError):
        store.upsert(bad, vectors)
    assert store.count() == 4
    store.upsert(good, vectors)
    assert store.count() == 10
    hits = store.query(vectors[6], 1, Where("", (Condition("n", "==", 6),)))
    assert [hit.chunk_id for hit in hits] == [good[6].chunk_id]


def test_one_id_twice_in_a_write_is_one_chunk(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(2, seed=15)
    chunk = making("a.md")
    store.upsert([chunk, chunk], vectors)
    assert store.count() == 1
    assert store.query(vectors[1], 1, Where())[0].score == pytest.approx(1, abs=1e-3)


def test_ids_of_any_form(opening: Opening, making: Making) -> None:
    store = opening()
    names = ["o'neil", "ünï #1", "x" * 600, "a", "A", "']; --"]
    vectors = _unit(len(names), seed=16)
    chunks = [dataclasses.replace(making(f"{n}.md"), chunk_id=n) for n in names]
    store.upsert(chunks, vectors)
    assert {hit.chunk_id for hit in store.query(vectors[0], 9, Where())} == set(names)
    store.delete(["o'neil", "A"])
    assert {hit.chunk_id for hit in store.query(vectors[0], 9, Where())} == set(names) - {
        "o'neil",
        "A",
    }


def test_a_long_text_and_many_facts_are_stored(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(1, seed=17)
    metadata = {f"fact {n}": "wért " * 20 for n in range(20)}
    store.upsert([making("a.md", "lång " * 20_000, metadata=metadata)], vectors)
    where = Where("", (Condition("fact 7", "==", "wért " * 20),))
    assert len(store.query(vectors[0], 1, where)) == 1


def test_threads_share_a_store(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = _unit(40, seed=18)
    chunks = [making(f"{n}.md", tenant="acme" if n % 2 else "") for n in range(40)]

    def work(start: int) -> str:
        store.upsert(chunks[start : start + 5], vectors[start : start + 5])
        return store.query(vectors[start], 1, Where("acme"))[0].chunk_id

    with ThreadPoolExecutor(4) as pool:
        best = list(pool.map(work, range(0, 40, 5)))
    assert best == [chunks[start].chunk_id for start in range(0, 40, 5)]
    assert store.count() == 40


def test_the_label_names_the_store_and_no_secret(opening: Opening, place: str) -> None:
    label = opening().label
    kind = place.partition(":")[0].partition("+")[0]
    assert {"postgresql": "PostgreSQL"}.get(kind, kind.title()) in label
    assert "pc-test-key" not in label


def test_other_llamaindex_code_reads_what_is_stored(making: Making, tmp_path: Path) -> None:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import MockEmbedding
    from llama_index.vector_stores.chroma import ChromaVectorStore

    index = uuid.uuid4().hex
    store: Any = open_store("chroma", index=index, dim=8, home=tmp_path)
    chunk = making("fees.md", "The fee is 3 €.", title="Fees", metadata={"version": "2026"})
    store.upsert([chunk], _unit(1, 19, 8))
    theirs = ChromaVectorStore(chroma_collection=store._all()[0])
    retriever = VectorStoreIndex.from_vector_store(
        theirs, embed_model=MockEmbedding(embed_dim=8)
    ).as_retriever()
    (found,) = retriever.retrieve("fee")
    assert found.node.get_content() == "The fee is 3 €."
    assert found.node.metadata["title"] == "Fees"
    assert found.node.ref_doc_id == chunk.doc_id
    assert "llmops_" not in found.node.get_content(metadata_mode="llm")
    store.close()
