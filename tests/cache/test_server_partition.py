"""A partition that a real PostgreSQL server compares decides as one in memory does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psycopg
import pytest
from cache_desk import USD, body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from margin_desk import EAGER, TOPIC, WORDINGS, TopicUpstream, lessons
from numpy.typing import NDArray

from llmops_kernel import Session
from llmops_kernel.cache.seal import Seal
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin_book import Loaded, MarginBook
from llmops_kernel.cache.semantic.partition import Partition
from llmops_kernel.cache.semantic.server_partition import STEP, ServerPartition
from llmops_kernel.cache.semantic.tuning import tuning_of
from llmops_kernel.cache.semantic.verbatim import signature
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.errors import StoreError
from llmops_kernel.settings import CacheSettings
from llmops_kernel.store import Store, hit_rows, margin_rows, neighbour_rows, open_store
from llmops_kernel.store.margin_rows import VectorRow

Make = Callable[..., Session]
UPSTREAM = TopicUpstream

DIM = 48
GATE = Gate.of(signature("How do I block my card?"))
NOW = 1_000_000


class Desk:
    """One partition in the record, and two books on it: one compares in memory, one there."""

    def __init__(self, store: Store, place: str) -> None:
        self.store, self.place = store, place
        seal = Seal(b"secret")
        self.memory = MarginBook(store, CacheSettings, lambda: seal, lambda: NOW)
        small = CacheSettings(numpy_entries=1)
        self.server = MarginBook(store, lambda: small, lambda: seal, lambda: NOW)

    def keep(self, key: str, vector: NDArray[Any], group: str, **fields: Any) -> VectorRow:
        row = VectorRow(
            self.place, key, "default", "stub/stub-1", "", '["t"]', group, f"a-{key}", GATE.text,
            b"", 10 * NOW,
        )._replace(**fields)  # fmt: skip
        return self.memory.keep(row, vector)

    def opened(self, book: MarginBook) -> tuple[Loaded, Any]:
        loaded = book.open("default", self.place)
        texts = book.catch_up(loaded, dim=DIM)
        while loaded.moving:
            texts = book.catch_up(loaded, dim=DIM)
        return loaded, texts

    def both(self) -> tuple[Partition, ServerPartition]:
        return self.opened(self.memory)[1], self.opened(self.server)[1]


@pytest.fixture
def desk(postgres_url: str) -> Iterator[Desk]:
    store = open_store(postgres_url)
    yield Desk(store, "ab" * 24)
    store.close()


def _texts(seed: int, count: int, groups: int, spread: float) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    numbers = rng.integers(groups, size=count)
    middles = rng.standard_normal((groups, DIM))
    return _unit(middles[numbers] + spread * rng.standard_normal((count, DIM))), numbers


def _unit(vectors: NDArray) -> NDArray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _same(one: Partition, other: ServerPartition, query: NDArray) -> None:
    ours, theirs = one.nearest(query), other.nearest(query)
    assert [each.key for each in ours.neighbours] == [each.key for each in theirs.neighbours]
    assert [each.group for each in ours.neighbours] == [each.group for each in theirs.neighbours]
    assert theirs.standing.wordings == ours.standing.wordings
    for name in ("best", "lead", "vote"):
        found, wanted = getattr(theirs.standing, name), getattr(ours.standing, name)
        assert found == pytest.approx(wanted, abs=1e-5), name


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**6), count=st.integers(2, 120), groups=st.integers(1, 9),
    spread=st.sampled_from([0.05, 0.5, 2]),
)  # fmt: skip
def test_it_stands_as_in_memory(
    desk: Desk, seed: int, count: int, groups: int, spread: float
) -> None:
    desk.place = f"{seed:06x}{count:02x}{groups:02x}{int(spread * 100):04x}"
    vectors, numbers = _texts(seed, count, groups, spread)
    for place, vector in enumerate(vectors):
        desk.keep(f"{desk.place}-{place}", vector, f"g{numbers[place]}")
    memory, server = desk.both()
    assert isinstance(server, ServerPartition)
    assert len(server) == len(memory)
    server.exact = True
    rng = np.random.default_rng(seed + 1)
    for query in [*_unit(vectors[:3] + spread * rng.standard_normal((min(count, 3), DIM)) / 5),
                  *_unit(rng.standard_normal((2, DIM)))]:  # fmt: skip
        _same(memory, server, query)


def test_one_group_larger_than_any_list_of_neighbours_has_its_rival(desk: Desk) -> None:
    middle = _unit(np.ones(DIM))
    rng = np.random.default_rng(3)
    for number in range(60):
        desk.keep(f"k{number}", _unit(middle + 0.02 * rng.standard_normal(DIM)), "one")
    desk.keep("far", _unit(np.eye(DIM)[0]), "other")
    memory, server = desk.both()
    _same(memory, server, middle)
    found = server.nearest(middle).standing
    assert (found.wordings, found.vote) == (60, 1.0)
    assert found.lead > 0.5
    server.build_index()
    _same(memory, server, middle)


def test_it_keeps_up_with_what_others_write_merge_remove_and_clear(desk: Desk) -> None:
    vectors, numbers = _texts(5, 40, 6, 0.4)
    for place, vector in enumerate(vectors[:30]):
        desk.keep(f"k{place}", vector, f"g{numbers[place]}")
    loaded, server = desk.opened(desk.server)
    for place, vector in enumerate(vectors[30:], 30):
        desk.keep(f"k{place}", vector, f"g{numbers[place]}", answer="told")
    desk.keep("k0", vectors[35], "anew")  # in place of an older one
    desk.server.catch_up(loaded, dim=DIM)
    _same(desk.opened(desk.memory)[1], server, vectors[33])
    assert server.group_of("told") == f"g{numbers[39]}"
    assert server.group_of("never told") is None
    desk.server.merge(loaded, "anew", f"g{numbers[33]}")
    desk.server.catch_up(loaded, dim=DIM)
    _same(desk.opened(desk.memory)[1], server, vectors[33])
    assert server.nearest(vectors[33]).best.group == "anew"  # type: ignore[union-attr]
    server.remove("k33")
    server.remove("not there")
    _same(desk.opened(desk.memory)[1], server, vectors[33])
    assert len(server) == 39
    with desk.store.transaction() as tx:
        hit_rows.forget(tx, tenant="default", tag="t")
    assert len(server) == 0
    assert server.nearest(vectors[33]).best is None


def test_what_was_edited_lends_nobody_its_place(desk: Desk) -> None:
    vectors, numbers = _texts(8, 30, 5, 0.5)
    for place, vector in enumerate(vectors):
        desk.keep(f"k{place}", vector, f"g{numbers[place]}")
    _, server = desk.opened(desk.server)
    with desk.store.transaction() as tx:
        # The copy says that one text lies where another does, another belongs to a third's group.
        tx.run("UPDATE cache_neighbour SET embedding = (SELECT n.embedding FROM cache_neighbour n "
               "JOIN cache_vector v ON v.seq = n.seq WHERE v.entry_key = 'k1') "
               "WHERE seq = (SELECT seq FROM cache_vector WHERE entry_key = 'k2')")  # fmt: skip
        tx.run("UPDATE cache_vector SET group_id = 'theirs' WHERE entry_key = 'k3'")
        tx.run("UPDATE cache_vector SET expires = 1 WHERE entry_key = 'k4'")
    found = server.nearest(vectors[1])
    assert found.best is not None
    assert found.best.key == "k1"
    assert found.standing.best == pytest.approx(1.0, abs=1e-5)
    assert "k3" not in [each.key for each in server.nearest(vectors[3]).neighbours]
    again = desk.opened(desk.server)[0]
    assert again.partition is not None
    desk.keep("bad", vectors[0], "g", mac="")
    with desk.store.transaction() as tx:
        tx.run("UPDATE cache_vector SET mac = 'x' WHERE entry_key = 'bad'")
    desk.server.catch_up(again, dim=DIM)
    assert again.partition.skipped == 1  # type: ignore[union-attr]


def test_the_index_is_built_once_and_used(desk: Desk) -> None:
    vectors, numbers = _texts(11, STEP + 1, 60, 0.6)
    _fill(desk, vectors, numbers)
    loaded = desk.server.open("default", desk.place)
    desk.server.catch_up(loaded, dim=DIM)
    assert loaded.moving
    memory, server = desk.both()
    assert not neighbour_rows.is_indexed(desk.store, desk.place)
    server.build_index()
    server.build_index()
    assert neighbour_rows.is_indexed(desk.store, desk.place)
    with desk.store.transaction() as tx:
        neighbour_rows.search(tx, exact=False)
        tx.rows("SELECT set_config('enable_seqscan', 'off', true), "
                "set_config('enable_bitmapscan', 'off', true), "
                "set_config('enable_sort', 'off', true)")  # fmt: skip
        plans = _plan(tx, desk.place, vectors[7].tolist())
    assert "using cache_neighbour_" in plans
    hits = 0
    for query in vectors[::20]:
        ours, theirs = memory.nearest(query).standing, server.nearest(query).standing
        hits += ours.group == ours.group and abs(ours.score - theirs.score) < 1e-4
    assert hits >= 0.95 * len(vectors[::20])


def _plan(tx: Any, place: str, query: list[float]) -> str:
    said: list[str] = []

    class Explaining:
        def rows(self, sql: str, values: Any) -> list[Any]:
            said.extend(row[0] for row in tx.rows(f"EXPLAIN {sql}", values))
            return []

    neighbour_rows.nearest(Explaining(), place, query, NOW, 10)  # type: ignore[arg-type]
    return "\n".join(said)


def _fill(desk: Desk, vectors: NDArray, numbers: NDArray) -> None:
    """Write many texts at once, sealed as `MarginBook.keep` does."""
    with desk.store.transaction() as tx:
        for place, vector in enumerate(vectors):
            row = VectorRow(
                desk.place, f"k{place}", "default", "stub/stub-1", "", "[]", f"g{numbers[place]}",
                f"a{place}", GATE.text, vector.astype("<f4").tobytes(), 10 * NOW,
            )  # fmt: skip
            margin_rows.put(tx, row._replace(mac=desk.memory._seal(row)))


def test_an_index_that_was_interrupted_is_built_anew(desk: Desk) -> None:
    vectors, numbers = _texts(2, 20, 3, 0.5)
    _fill(desk, vectors, numbers)
    _, server = desk.opened(desk.server)
    server.build_index()
    with desk.store.transaction() as tx:
        tx.run("UPDATE pg_index SET indisvalid = false "
               "WHERE indrelid = 'cache_neighbour'::regclass AND indpred IS NOT NULL")  # fmt: skip
    assert not neighbour_rows.is_indexed(desk.store, desk.place)
    server.build_index()
    assert neighbour_rows.is_indexed(desk.store, desk.place)


def test_a_server_without_the_extension_has_a_whole_record_and_says_why(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, vector in enumerate(np.eye(DIM, dtype=np.float32)[:3]):
        desk.keep(f"k{number}", vector, f"g{number}")
    monkeypatch.setattr(neighbour_rows, "_EXTENSION", "no_such_extension")
    loaded = desk.server.open("default", desk.place)
    texts = desk.server.catch_up(loaded, dim=DIM)
    assert loaded.refused == (
        "its partition has more than 1 texts, and the record's server does not have the vector "
        "extension"
    )
    assert texts.nearest(np.eye(DIM, dtype=np.float32)[0]).best is None
    assert not neighbour_rows.is_prepared(desk.store)
    assert "no index" not in neighbour_rows.prepare(desk.store, DIM)
    monkeypatch.setattr(neighbour_rows, "_EXTENSION", "vector")
    assert "2,000" in neighbour_rows.prepare(desk.store, 2_001)
    monkeypatch.setattr(neighbour_rows, "_LEAST_VERSION", (999,))
    assert "older" in neighbour_rows.prepare(desk.store, DIM)


def test_a_role_that_may_not_create_the_extension_is_told_so(postgres_url: str) -> None:
    parts = urlsplit(postgres_url.replace("+psycopg", ""))
    with psycopg.connect(parts.geturl(), autocommit=True) as connection:
        connection.execute("DO $$ BEGIN CREATE ROLE poor LOGIN; EXCEPTION "
                           "WHEN duplicate_object THEN NULL; END $$")  # fmt: skip
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO poor")
        database = parts.path.lstrip("/")
        connection.execute(f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC")  # type: ignore[arg-type]
    user = f"{parts.username}:{parts.password or ''}@"
    store = open_store(postgres_url.replace(user, "poor@").replace(f"{parts.username}@", "poor@"))
    try:
        assert store.read("SELECT current_user") == [("poor",)]
        why = neighbour_rows.prepare(store, DIM)
        assert why.startswith("the vector extension cannot be used: ")
        assert "permission denied" in why
        assert store.read("SELECT COUNT(*) FROM cache_vector") == [(0,)]
    finally:
        store.close()


def test_a_partition_that_is_no_digest_is_refused(desk: Desk) -> None:
    assert neighbour_rows.prepare(desk.store, DIM) == ""
    with desk.store.transaction() as tx, pytest.raises(StoreError, match="no digest"):
        neighbour_rows.nearest(tx, "x' OR 'a' = 'a", [0.0] * DIM, NOW, 1)


# ---- in the path of a call ---------------------------------------------------------------------


@pytest.fixture
def open_bank(make_session: Make, postgres_url: str) -> Make:
    def make(**cache: Any) -> Session:
        return make_session(
            store=postgres_url,
            cache={**EAGER, **cache},
            prices={"stub/stub-1": USD, "stub/judge-1": USD},
        )

    return make


def _ask(session: Session, text: str) -> Reply:
    return session.call(ChatRequest.from_body(body(text)))


def test_calls_are_served_from_a_partition_on_the_server(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    with open_bank(numpy_entries=12) as session:
        fresh = sum(not _ask(session, text).cached for text in lessons())
        session.cache.margin.finish()
        (report,) = tuning_of(session.cache, "default").partitions
        assert (report.state, report.vectors) == ("on", "pgvector")
        assert report.texts == fresh > 12
        there = [_ask(session, texts[9]) for texts in WORDINGS.values()]
        session.cache.margin.finish()
    served = [reply for reply in there if reply.tier == "margin"]
    assert served
    for reply, topic in zip(there, WORDINGS, strict=True):
        assert reply.text == f"The answer about {topic}"
    assert TOPIC[WORDINGS["pin"][9]] == "pin"


def test_what_is_decided_there_is_what_is_decided_in_memory(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    with open_bank() as session:
        for text in lessons():
            _ask(session, text)
        session.cache.margin.finish()
        memory = [_explained(session, texts[8]) for texts in WORDINGS.values()]
    with open_bank(numpy_entries=5) as session:
        _explained(session, WORDINGS["pin"][8])
        session.cache.margin.finish()
        server = [_explained(session, texts[8]) for texts in WORDINGS.values()]
    assert [replace(each, figures={}) for each in memory] == [
        replace(each, figures={}) for each in server
    ]
    for ours, theirs in zip(memory, server, strict=True):
        assert theirs.figures == pytest.approx(ours.figures, abs=1e-5)
    assert any(each.tier == "margin" for each in memory)


def _explained(session: Session, text: str) -> Any:
    request = ChatRequest.from_body(body(text))
    target = session.catalog.resolve(request.model)
    return session.cache.explain(request, target, session.context())
