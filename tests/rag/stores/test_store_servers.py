"""Stores on servers: the same behaviour over the wire, and clear failures without one."""

from __future__ import annotations

import fcntl
import gc
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from llmops_kernel.errors import MissingExtra, StoreError
from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.stores import VectorStore, open_store
from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.where import Condition, Where

# milvus-lite leaves the log of a dropped collection open, for the garbage collector to close.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file .*wal_:ResourceWarning")

DIM = 16


@pytest.fixture(params=["chroma_server", "milvus_server"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], VectorStore]]:
    url: str = request.getfixturevalue(request.param)
    index = uuid.uuid4().hex
    opened: list[VectorStore] = []

    def start() -> VectorStore:
        opened.append(open_store(url, index=index, dim=DIM, home=tmp_path))
        return opened[-1]

    yield start
    opened[0].drop()
    for store in opened:
        store.close()


def _vectors(rows: int) -> np.ndarray:
    made = np.random.default_rng(rows).standard_normal((rows, DIM)).astype(np.float32)
    unit: np.ndarray = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def test_a_server_is_searched_like_a_folder(
    served: Callable[[], VectorStore], making: Callable[..., Chunk]
) -> None:
    store, other = served(), served()
    vectors = _vectors(150)
    chunks = [
        making(f"{n}: ü.md", tenant=["", "acme", "o'neil"][n % 3], metadata={"n": n, "v": str(n)})
        for n in range(150)
    ]
    store.upsert(chunks, vectors)
    store.upsert(chunks, vectors)
    assert store.count() == 150
    assert "127.0.0.1" in store.label
    for conditions in (
        (),
        (Condition("n", ">", 70),),
        (Condition("v", "!=", "0"), Condition("source", "in", tuple(c.source for c in chunks[:9]))),
    ):
        for tenant in ("", "acme", "o'neil", "nobody"):
            where = Where(tenant, conditions)
            cosines = vectors @ vectors[0]
            exact = {
                c.chunk_id: s for c, s in zip(chunks, cosines, strict=True) if where.holds(c.facts)
            }
            best = sorted(exact, key=lambda key: -exact[key])
            hits = other.query(vectors[0], 10, where)
            assert [hit.chunk_id for hit in hits] == best[:10]
            for hit in hits:
                assert hit.score == pytest.approx(exact[hit.chunk_id], abs=1e-3)
    other.delete([chunk.chunk_id for chunk in chunks[:30]])
    assert store.count() == 120


@pytest.mark.parametrize(
    "url",
    [
        "chroma+http://127.0.0.1:{port}",
        "qdrant+http://127.0.0.1:{port}",
        "milvus+http://127.0.0.1:{port}",
        "postgresql://me:hunter2@127.0.0.1:{port}/docs",
    ],
)
def test_a_server_that_is_down_is_a_clear_failure(url: str, tmp_path: Path) -> None:
    with socket.socket() as probe:  # bound, but not listening: nobody else can take the port
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(StoreError) as caught:
            open_store(url.format(port=port), index="i", dim=DIM, home=tmp_path)
    assert f"127.0.0.1:{port}" in caught.value.detail
    assert caught.value.hint
    assert "hunter2" not in caught.value.sentence()


def test_a_server_that_goes_down_is_a_clear_failure(tmp_path: Path) -> None:
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    server, database, port = start_server_in_thread(str(tmp_path / "m"), host="127.0.0.1", port=0)
    store = open_store(f"milvus+http://127.0.0.1:{port}", index="i", dim=DIM, home=tmp_path)
    server.stop(grace=0).wait()
    database.close()
    with pytest.raises(StoreError, match="Milvus cannot be used") as caught:
        store.count()
    assert f"127.0.0.1:{port}" in caught.value.detail
    store.close()


# The client that meets the lock leaves its own handle of it open.
@pytest.mark.filterwarnings("ignore:unclosed file .*[.]lock:ResourceWarning")
@pytest.mark.parametrize(
    ("url", "lock"), [("qdrant", "qdrant/.lock"), ("milvus", "milvus.db/LOCK")]
)
def test_files_in_use_by_another_process(url: str, lock: str, tmp_path: Path) -> None:
    open_store(url, index="i", dim=DIM, home=tmp_path).close()
    # A lock belongs to the open file, so this one is as foreign as another process's.
    with (tmp_path / lock).open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(StoreError, match="in use by another process") as caught:
            open_store(url, index="i", dim=DIM, home=tmp_path)
        assert f"{url}+http://" in caught.value.hint
        del caught
        gc.collect()
    open_store(url, index="i", dim=DIM, home=tmp_path).close()


@pytest.mark.parametrize("url", ["chroma://{}/x", "qdrant://{}/x", "milvus://{}/x.db"])
def test_a_folder_that_cannot_be_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError) as caught:
        open_store(url.format(tmp_path / "file"), index="i", dim=DIM, home=tmp_path)
    assert str(tmp_path / "file") in caught.value.detail


def test_two_indexes_of_a_process_share_a_folder(
    tmp_path: Path, making: Callable[..., Chunk]
) -> None:
    for url in ("qdrant", "milvus", "chroma"):
        one = open_store(url, index="one", dim=DIM, home=tmp_path)
        two = open_store(url, index="two", dim=DIM, home=tmp_path)
        again = open_store(url, index="one", dim=DIM, home=tmp_path)
        one.close()
        two.upsert([making("a.md")], _vectors(1))
        again.upsert([making("b.md")], _vectors(1))
        again.close()
        assert two.count() == 1
        two.close()
        back = open_store(url, index="one", dim=DIM, home=tmp_path)
        assert back.count() == 1
        back.close()


def test_postgresql_shows_no_password(
    postgres_url: str, tmp_path: Path, making: Callable[..., Chunk]
) -> None:
    url = postgres_url.replace("postgres:@", "postgres:hunter2@")
    assert "hunter2" in url
    store = open_store(url, index="i", dim=DIM, home=tmp_path)  # the record's spelling of the URL
    assert store.label.startswith("PostgreSQL (pgvector) (postgresql://postgres@")
    assert "hunter2" not in store.label + repr(vars(store))
    store.close()
    wrong = url.replace("//postgres:", "//nobody:")
    with pytest.raises(StoreError) as caught:
        open_store(wrong, index="i", dim=DIM, home=tmp_path)
    assert "hunter2" not in caught.value.sentence()
    assert "nobody" in caught.value.detail


def test_first_openers_of_a_table_do_not_collide(postgres_url: str, tmp_path: Path) -> None:
    def start(_: int) -> VectorStore:
        return open_store(postgres_url, index="i", dim=DIM, home=tmp_path)

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(start, range(4)))
    assert [store.count() for store in stores] == [0] * 4
    for store in stores:
        store.close()


def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINECONE_API_KEY", "pc-test-key")
    load.cache_clear()
    for module, url, extra in (
        ("chromadb", "chroma", "rag"),
        ("qdrant_client", "qdrant", "qdrant"),
        ("milvus_lite.server_manager", "milvus", "milvus"),
        ("sqlalchemy", "postgresql://h/d", "pgvector"),
        ("pinecone", "pinecone://x", "pinecone"),
    ):
        with monkeypatch.context() as patched:
            patched.setitem(sys.modules, module, None)
            with pytest.raises(MissingExtra) as caught:
                open_store(url, index="i", dim=DIM, home=tmp_path)
        assert caught.value.extra == extra
    load.cache_clear()
