"""Qdrant, in a folder or on a server.

What is repaired: points have UUIDs, so a chunk's id lies in its metadata; a folder bears one client
per process, shared here, and one process; the folder's SQLite file commits each point, which costs
a disk flush per chunk unless it writes ahead; the client over a folder is not safe for threads.
"""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.errors import StoreError
from llmops_kernel.rag.stores.adapter import LlamaStore
from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.stores.fields import WALL
from llmops_kernel.rag.stores.nodes import uuid_id
from llmops_kernel.rag.stores.shared import Shared

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where

_ANSWER_SECONDS = 60


def _open_folder(path: Path) -> Any:
    client = load("qdrant_client", extra="qdrant").QdrantClient
    path.mkdir(parents=True, exist_ok=True)
    try:
        return client(path=str(path), force_disable_check_same_thread=True)
    except RuntimeError as error:
        if "already accessed" not in str(error):
            raise
        raise StoreError(
            "Qdrant's folder is in use by another process",
            detail=str(path),
            hint="Close the other kernel, or use a server: qdrant+http://HOST:6333",
        ) from None


_FOLDERS: Shared[Any] = Shared(_open_folder, lambda _path, client: client.close())


class QdrantStore(LlamaStore):
    """An index in Qdrant: one collection, cosine distance."""

    title = "Qdrant"
    hint: ClassVar[str] = "Check the folder, or that the server runs and QDRANT_API_KEY is its key"

    _client: Any = None
    _lock: AbstractContextManager[Any] = nullcontext()

    def _open(self) -> int | None:
        models = load("qdrant_client", extra="qdrant").models
        place = self._place
        if self._client is not None:
            pass  # written again after `drop`
        elif place.path is not None:
            self._client, self._lock = _FOLDERS.take(place.path)
        else:
            self._knock(place.host, place.port)
            self._client = load("qdrant_client", extra="qdrant").QdrantClient(
                url=place.url,
                api_key=place.key or None,
                timeout=_ANSWER_SECONDS,
                check_compatibility=False,
            )
        with self._lock:
            if not self._client.collection_exists(self._name):
                self._client.create_collection(
                    self._name,
                    vectors_config=models.VectorParams(
                        size=self._dim, distance=models.Distance.COSINE
                    ),
                )
                if place.path is None:  # in a folder there are none
                    self._client.create_payload_index(
                        self._name, WALL, field_schema=models.PayloadSchemaType.KEYWORD
                    )
            if place.path is not None:
                self._write_ahead()
            store = load("llama_index.vector_stores.qdrant", extra="qdrant").QdrantVectorStore
            self._llama = store(
                collection_name=self._name, client=self._client, batch_size=self.batch
            )
            vectors = self._client.get_collection(self._name).config.params.vectors
        return int(vectors.size)

    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        with self._lock:
            self._llama.add(self._nodes(chunks, vectors))

    def _remove(self, node_ids: list[str]) -> None:
        with self._lock:
            self._llama.delete_nodes(node_ids)

    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        with self._lock:
            return self._ask(self._llama, vector, k, where)

    def _total(self) -> int:
        with self._lock:
            return int(self._client.count(self._name, exact=True).count)

    def _erase(self) -> None:
        with self._lock:
            self._llama.clear()

    def _release(self) -> None:
        if self._client is None:
            return
        client, self._client = self._client, None
        if self._place.path is not None:
            _FOLDERS.give_back(self._place.path)
        else:
            client.close()

    def _node_id(self, chunk_id: str) -> str:
        return uuid_id(chunk_id)

    def _write_ahead(self) -> None:
        """Let commits be appended to a log, without a disk flush for each point.

        A crash of the process loses nothing; a power failure may lose the last points, which the
        record still has. The connection is no public part of the client: without it all works, at
        one flush for each point.
        """
        local = getattr(self._client, "_client", None)
        collection = getattr(local, "collections", {}).get(self._name)
        connection = getattr(getattr(collection, "storage", None), "storage", None)
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
