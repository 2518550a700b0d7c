"""What every vector store does, on each that can run on this machine.

Pinecone runs here against a loopback server that speaks its documented JSON; the hosted service was
not reached.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_desk import (
    ALL,
    DIM,
    Making,
    Opening,
    exact_scores,
    unit,
)

from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.rag.stores import open_store
from llmops_kernel.rag.where import Condition, Where

# milvus-lite leaves the log of a dropped collection open, for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*wal_:ResourceWarning")


def test_written_replaced_and_deleted(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = unit(3, seed=1)
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
    vectors = unit(300, seed=2)
    chunks = [making(f"{number}.md") for number in range(300)]
    store.upsert(chunks[:200], vectors[:200])
    store.upsert(chunks[200:], vectors[200:])
    found = 0
    for number in range(20):
        asked = unit(1, seed=100 + number)[0] if number % 2 else vectors[number]
        exact = exact_scores(chunks, vectors, asked, Where())
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
    vectors = unit(1, seed=3)
    store.upsert([making("a.md")], 5 * vectors)  # of any length
    assert store.query(-vectors[0], 1, Where())[0].score == pytest.approx(-1, abs=1e-3)
    assert store.query(7 * vectors[0], 1, Where())[0].score == pytest.approx(1, abs=1e-3)


def test_closing_and_opening_again_keeps_the_data(opening: Opening, making: Making) -> None:
    vectors = unit(5, seed=8)
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
    vectors = unit(3, seed=9)
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
    vectors = unit(3, seed=10)
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
    asked = unit(1, seed=11)[0]
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
        unit(1, 1, DIM + 1),
        unit(2, 1),
        np.zeros((1, DIM)),
        np.full((1, DIM), math.nan),
    ):
        with pytest.raises(UsageProblem):
            store.upsert([chunk], vectors)
    with pytest.raises(UsageProblem, match="do not fit"):
        store.query(unit(1, 1, DIM + 1)[0], 1, Where())
    assert store.count() == 0


def test_another_embedder_on_the_same_index_is_refused(
    opening: Opening, making: Making, place: str
) -> None:
    store = opening()
    store.upsert([making("a.md")], unit(1, seed=12))
    other = opening(dim=DIM + 8)
    with pytest.raises(StoreError, match="another length") as caught:
        other.upsert([making("b.md")], unit(1, 13, DIM + 8))
    assert "ingest its documents again" in caught.value.hint
    with pytest.raises(StoreError, match="another length"):
        other.query(unit(1, 13, DIM + 8)[0], 1, Where())
    assert store.count() == 1
    other.drop()
    if not place.startswith("pinecone"):  # there the length belongs to the Pinecone index
        other.upsert([making("b.md")], unit(1, 13, DIM + 8))
        assert other.count() == 1


def test_what_failed_half_way_is_repaired_by_the_next_run(opening: Opening, making: Making) -> None:
    store: Any = opening()
    store.batch = 4
    vectors = unit(10, seed=14)
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
    vectors = unit(2, seed=15)
    chunk = making("a.md")
    store.upsert([chunk, chunk], vectors)
    assert store.count() == 1
    assert store.query(vectors[1], 1, Where())[0].score == pytest.approx(1, abs=1e-3)


def test_ids_of_any_form(opening: Opening, making: Making) -> None:
    store = opening()
    names = ["o'neil", "ünï #1", "x" * 600, "a", "A", "']; --"]
    vectors = unit(len(names), seed=16)
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
    vectors = unit(1, seed=17)
    metadata = {f"fact {n}": "wért " * 20 for n in range(20)}
    store.upsert([making("a.md", "lång " * 20_000, metadata=metadata)], vectors)
    where = Where("", (Condition("fact 7", "==", "wért " * 20),))
    assert len(store.query(vectors[0], 1, where)) == 1


def test_threads_share_a_store(opening: Opening, making: Making) -> None:
    store = opening()
    vectors = unit(40, seed=18)
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
    store.upsert([chunk], unit(1, 19, 8))
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
