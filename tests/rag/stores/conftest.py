"""Real stores to run the contract on, and a loopback server that speaks Pinecone's JSON."""

from __future__ import annotations

import gc
import json
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from llmops_kernel.rag.documents import Chunk, Document, Passage, make_chunks
from llmops_kernel.rag.stores import VectorStore, open_store

DIM = 24
KINDS = ("chroma", "qdrant", "milvus", "postgresql", "pinecone")
_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": lambda own, value: own == value,
    "$in": lambda own, value: own in value,
    "$gte": lambda own, value: isinstance(own, float | int) and own >= value,
    "$lte": lambda own, value: isinstance(own, float | int) and own <= value,
}


class PineconeServer:
    """The data plane of one Pinecone index, as its reference documents it.

    https://docs.pinecone.io/reference/api (upsert, query, delete, describe_index_stats). Filters
    mean what the documentation says, metadata and sizes are checked against its limits.
    """

    def __init__(self, metric: str = "cosine", dimension: int = DIM) -> None:
        self.metric = metric
        self.dimension = dimension
        self.namespaces: dict[str, dict[str, dict[str, Any]]] = {}
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.failing: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                self._send(*outer.answer(self.path, body, dict(self.headers)))

            def do_GET(self) -> None:
                self._send(*outer.answer(self.path, {}, dict(self.headers)))

            def _send(self, status: int, body: dict[str, Any]) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        lower = {name.lower(): value for name, value in headers.items()}
        self.requests.append((path, body, lower))
        if lower.get("api-key") != "pc-test-key":
            return 401, {"code": 16, "message": "Invalid API key"}
        if self.failing is not None:
            return self.failing, {"code": 13, "message": "out of order", "details": []}
        name = body.get("namespace", "")
        if path == "/vectors/upsert":
            return self._upsert(name, body["vectors"])
        if path == "/query":
            return self._query(name, body)
        if path == "/vectors/delete":
            return self._delete(name, body)
        if path == "/describe_index_stats":
            counts = {key: {"vectorCount": len(rows)} for key, rows in self.namespaces.items()}
            return 200, {
                "namespaces": counts,
                "dimension": self.dimension,
                "indexFullness": 0,
                "totalVectorCount": sum(len(rows) for rows in self.namespaces.values()),
                "metric": self.metric,
                "vectorType": "dense",
            }
        return 404, {"code": 5, "message": f"no such endpoint: {path}"}

    def _upsert(self, name: str, vectors: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        if len(vectors) > 1000:
            return 400, {"code": 3, "message": "too many vectors"}
        for vector in vectors:
            metadata = vector.get("metadata", {})
            flat = all(
                isinstance(value, str | float | int)
                or (isinstance(value, list) and all(isinstance(each, str) for each in value))
                for value in metadata.values()
            )
            reserved = any(key.startswith("$") for key in metadata)
            fits = len(vector["values"]) == self.dimension and len(vector["id"]) <= 512
            if not (flat and fits) or reserved or len(json.dumps(metadata)) > 40_960:
                return 400, {"code": 3, "message": "bad vector"}
        rows = self.namespaces.setdefault(name, {})
        rows.update({vector["id"]: vector for vector in vectors})
        return 200, {"upsertedCount": len(vectors)}

    def _query(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if not 1 <= body["topK"] <= 10_000 or len(body["vector"]) != self.dimension:
            return 400, {"code": 3, "message": "bad query"}
        asked = np.array(body["vector"])
        scored = []
        for row in self.namespaces.get(name, {}).values():
            if not _passes(row.get("metadata", {}), body.get("filter") or {}):
                continue
            own = np.array(row["values"])
            cosine = float(own @ asked / np.linalg.norm(own) / np.linalg.norm(asked))
            distance = float(((own - asked) ** 2).sum())
            scored.append((distance if self.metric == "euclidean" else cosine, row))
        scored.sort(key=lambda pair: pair[0], reverse=self.metric != "euclidean")
        matches = []
        for score, row in scored[: body["topK"]]:
            match: dict[str, Any] = {"id": row["id"], "score": score}
            if body.get("includeValues"):
                match["values"] = row["values"]
            if body.get("includeMetadata"):
                match["metadata"] = row["metadata"]
            matches.append(match)
        return 200, {"matches": matches, "namespace": name, "usage": {"readUnits": 1}}

    def _delete(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name not in self.namespaces:
            return 404, {"code": 5, "message": "Namespace not found", "details": []}
        if body.get("deleteAll"):
            del self.namespaces[name]
        for key in body.get("ids", []):
            self.namespaces[name].pop(key, None)
        return 200, {}


def _passes(metadata: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for key, value in wanted.items():
        if key in {"$and", "and"}:
            if not all(_passes(metadata, part) for part in value):
                return False
        elif key in {"$or", "or"}:
            if not any(_passes(metadata, part) for part in value):
                return False
        elif not all(key in metadata and _OPS[op](metadata[key], of) for op, of in value.items()):
            return False
    return True


@pytest.fixture
def pinecone_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., PineconeServer]]:
    """Start loopback servers; keyword arguments are those of `PineconeServer`."""
    monkeypatch.setenv("PINECONE_API_KEY", "pc-test-key")
    running: list[PineconeServer] = []

    def start(**asked: Any) -> PineconeServer:
        running.append(PineconeServer(**asked))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Chroma server, in a process of its own."""
    port = _free_port()
    folder = tmp_path_factory.mktemp("chroma-server")
    command = [Path(sys.executable).with_name("chroma"), "run", "--path", folder]
    with subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _wait_for(port)
        yield f"chroma+http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Milvus server: milvus-lite's, reached as any other."""
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    folder = tmp_path_factory.mktemp("milvus-server")
    server, database, port = start_server_in_thread(str(folder), host="127.0.0.1", port=0)
    yield f"milvus+http://127.0.0.1:{port}"
    server.stop(grace=1).wait()
    database.close()


@pytest.fixture(scope="session")
def _pgvector_url(postgres_server: str) -> str:
    name = f"v{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    head, _, query = postgres_server.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


@pytest.fixture(scope="session")
def _pinecone_url() -> Iterator[str]:
    server = PineconeServer()
    yield f"pinecone://contract?host={server.url}"
    server.close()


@pytest.fixture(scope="session")
def stores_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of stores that are named by their kind."""
    return tmp_path_factory.mktemp("stores-home")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a running store of each kind."""
    monkeypatch.setenv("PINECONE_API_KEY", "pc-test-key")
    kind: str = request.param
    fixtures = {"postgresql": "_pgvector_url", "pinecone": "_pinecone_url"}
    return str(request.getfixturevalue(fixtures[kind])) if kind in fixtures else kind


@pytest.fixture
def opening(place: str, stores_home: Path) -> Iterator[Callable[..., VectorStore]]:
    """Open indexes in the store; names are made unique for the test, and all are dropped."""
    opened: list[VectorStore] = []
    suffix = uuid.uuid4().hex[:8]

    def start(name: str = "index", dim: int = DIM) -> VectorStore:
        opened.append(open_store(place, index=name + suffix, dim=dim, home=stores_home))
        return opened[-1]

    yield start
    for store in opened:
        store.close()


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Leave no garbage to later modules: milvus-lite leaves the log of a dropped collection open.

    The filter is the one that the modules of this folder have as their mark.
    """
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed file .*wal_", ResourceWarning)
        gc.collect()


@pytest.fixture
def making() -> Callable[..., Chunk]:
    """Make a chunk of a document."""

    def make(source: str, text: str = "a text", **facts: Any) -> Chunk:
        document = Document(source, text, **facts)
        return make_chunks(document, [Passage(0, len(text))])[0]

    return make


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError
