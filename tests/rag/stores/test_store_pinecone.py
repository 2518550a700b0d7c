"""What the Pinecone adapter sends and understands, on the wire of the installed client.

The hosted service was not reached: a server on this machine speaks its documented JSON.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmops_kernel.errors import SettingsError, StoreError
from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.stores import open_store
from llmops_kernel.rag.where import Condition, Where

DIM = 24
Starting = Callable[..., Any]


def _vectors(rows: int) -> np.ndarray:
    made = np.random.default_rng(rows).standard_normal((rows, DIM)).astype(np.float32)
    unit: np.ndarray = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def test_requests_are_those_of_the_reference(
    pinecone_server: Starting, making: Callable[..., Chunk], tmp_path: Path
) -> None:
    server = pinecone_server()
    store = open_store(
        f"pinecone://bank?host={server.url}", index="Fees & limits", dim=DIM, home=tmp_path
    )
    vectors = _vectors(250)
    chunks = [making(f"{n}.md", f"text {n}", tenant="acme") for n in range(250)]
    store.upsert(chunks, vectors)
    writes = [body for path, body, _ in server.requests if path == "/vectors/upsert"]
    assert [len(body["vectors"]) for body in writes] == [100, 100, 50]
    (namespace,) = {body["namespace"] for body in writes}
    assert namespace.startswith("llmops_fees_limits_")
    first = writes[0]["vectors"][0]
    assert first["id"] == chunks[0].chunk_id
    assert first["values"] == pytest.approx(vectors[0].tolist())
    assert first["metadata"]["source"] == "0.md"
    assert "text 0" in first["metadata"]["_node_content"]

    hits = store.query(vectors[3], 5, Where("acme", (Condition("source", "==", "3.md"),)))
    assert [hit.chunk_id for hit in hits] == [chunks[3].chunk_id]
    asked = server.requests[-1][1]
    assert server.requests[-1][0] == "/query"
    assert asked["namespace"] == namespace
    assert asked["topK"] == 5
    assert asked["includeMetadata"] is True
    wall, source = asked["filter"]["$and"]
    assert list(wall) == ["llmops_wall"]
    assert len(wall["llmops_wall"]["$in"]) == 2
    assert source == {"source": {"$eq": "3.md"}}

    store.delete([chunks[0].chunk_id])
    assert server.requests[-1][1] == {"namespace": namespace, "ids": [chunks[0].chunk_id]}
    assert store.count() == 249
    store.drop()
    assert server.requests[-1][1] == {"namespace": namespace, "deleteAll": True}
    assert all(headers["api-key"] == "pc-test-key" for _, _, headers in server.requests)
    store.close()


@pytest.mark.parametrize("metric", ["cosine", "dotproduct", "euclidean"])
def test_scores_are_cosines_whatever_the_metric(
    metric: str, pinecone_server: Starting, making: Callable[..., Chunk], tmp_path: Path
) -> None:
    server = pinecone_server(metric=metric)
    store = open_store(f"pinecone://bank?host={server.url}", index="i", dim=DIM, home=tmp_path)
    vectors = _vectors(20)
    chunks = [making(f"{n}.md") for n in range(20)]
    store.upsert(chunks, vectors)
    cosines = vectors @ vectors[4]
    hits = store.query(vectors[4], 20, Where())
    assert [h.chunk_id for h in hits] == [chunks[n].chunk_id for n in np.argsort(-cosines)]
    assert [h.score for h in hits] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)
    store.close()


def test_dropping_what_was_never_written(pinecone_server: Starting, tmp_path: Path) -> None:
    server = pinecone_server()
    store = open_store(f"pinecone://bank?host={server.url}", index="i", dim=DIM, home=tmp_path)
    store.delete(["a"])
    store.drop()
    assert [path for path, *_ in server.requests].count("/vectors/delete") == 2
    store.close()


def test_refusals_of_the_service_are_store_errors(
    pinecone_server: Starting,
    making: Callable[..., Chunk],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = pinecone_server()
    url = f"pinecone://bank?host={server.url}"
    store = open_store(url, index="i", dim=DIM, home=tmp_path)
    assert store.label == f"Pinecone ({url})"
    server.failing = 403
    with pytest.raises(StoreError, match="Pinecone cannot be used") as caught:
        store.upsert([making("a.md")], _vectors(1))  # the client reports it in its reply
    assert "PINECONE_API_KEY" in caught.value.hint
    with pytest.raises(StoreError):
        store.query(_vectors(1)[0], 1, Where())
    server.failing = None
    store.upsert([making("a.md")], _vectors(1))
    assert store.count() == 1
    store.close()

    monkeypatch.setenv("PINECONE_API_KEY", "pc-wrong-key")
    with pytest.raises(StoreError) as caught:
        open_store(url, index="i", dim=DIM, home=tmp_path)
    assert "pc-wrong-key" not in caught.value.sentence()


def test_an_index_of_another_length_is_refused(
    pinecone_server: Starting, making: Callable[..., Chunk], tmp_path: Path
) -> None:
    server = pinecone_server(dimension=8)
    store = open_store(f"pinecone://bank?host={server.url}", index="i", dim=DIM, home=tmp_path)
    with pytest.raises(StoreError, match="another length") as caught:
        store.upsert([making("a.md")], _vectors(1))
    assert caught.value.detail.startswith("8 there")
    store.close()


def test_what_is_stored_stays_below_the_limit_of_a_vector(
    pinecone_server: Starting, making: Callable[..., Chunk], tmp_path: Path
) -> None:
    server = pinecone_server()
    store = open_store(f"pinecone://bank?host={server.url}", index="i", dim=DIM, home=tmp_path)
    store.upsert([making("a.md", '"\\\n' * 30_000)], _vectors(1))
    (vector,) = server.requests[-1][1]["vectors"]
    assert len(json.dumps(vector["metadata"])) < 40_960
    store.close()


def test_no_key_and_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="needs a key"):
        open_store("pinecone://bank", index="i", dim=DIM, home=tmp_path)
    monkeypatch.setenv("PINECONE_API_KEY", "pc-test-key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(StoreError, match="Pinecone"):
            open_store(f"pinecone://bank?host={host}", index="i", dim=DIM, home=tmp_path)
