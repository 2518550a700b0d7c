"""What a search lets through: operators, conditions, tenants, on every vector store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_desk import (
    ALL,
    DIM,
    NAMES,
    TENANTS,
    VALUES,
    Making,
    Opening,
    exact_scores,
    mixed_chunks,
    unit,
)

from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.stores import VectorStore
from llmops_kernel.rag.where import Condition, Where

# milvus-lite leaves the log of a dropped collection open, for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*wal_:ResourceWarning")
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
    vectors = unit(24, seed=4)
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
        exact = exact_scores(chunks, vectors, vectors[0], where)
        best = sorted(exact, key=lambda key: -exact[key])
        for k in (3, ALL):
            hits = [hit.chunk_id for hit in store.query(vectors[0], k, where)]
            assert hits == best[:k], condition


@pytest.fixture
def mixed(opening: Opening, making: Making) -> Iterator[tuple[VectorStore, list[Chunk], Any]]:
    store = opening("mixed")
    chunks = mixed_chunks(making)
    vectors = unit(len(chunks), seed=5)
    store.upsert(chunks, vectors)
    yield store, chunks, vectors
    store.drop()


_value = st.sampled_from(VALUES) | st.text(max_size=6) | st.integers() | st.floats()
_condition = st.builds(
    Condition,
    st.sampled_from([*NAMES, "tenant", "title", "source", "doc_id", "page", "none"]),
    st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
    _value,
) | st.builds(
    Condition,
    st.sampled_from([*NAMES, "title", "page"]),
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
    tenant=st.sampled_from(TENANTS) | st.text(max_size=5),
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
    exact = exact_scores(chunks, vectors, vectors[0], where)
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
    for tenant in [*TENANTS, "nobody"]:
        seen = {hit.chunk_id for hit in store.query(vectors[0], ALL, Where(tenant))}
        assert seen == {c.chunk_id for c in chunks if c.tenant in {"", tenant}}


def test_a_chunk_that_moves_to_another_tenant_is_left_nowhere_else(
    opening: Opening, making: Making
) -> None:
    store = opening()
    vectors = unit(1, seed=6)
    chunk = making("a.md", tenant="acme")
    store.upsert([chunk], vectors)
    store.upsert([dataclasses.replace(chunk, tenant="globex")], vectors)
    assert store.count() == 1
    assert store.query(vectors[0], 5, Where("acme")) == []
    assert len(store.query(vectors[0], 5, Where("globex"))) == 1
