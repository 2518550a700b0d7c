"""Pinecone, a hosted service: one namespace of a Pinecone index for each index.

The hosted service itself was never reached by this project's tests: they run the installed client
against a server on this machine that speaks the documented JSON of upsert, query, delete and
describe_index_stats. Differences of the service that its documentation does not tell, its limits
and its delays are not tested.

What is repaired: LlamaIndex puts the document's id into a vector's id when it knows it, so nodes do
not name their document here; the client draws a progress bar; a namespace that does not exist yet
is an error for some operations; scores are the index's metric, so the cosine is computed from the
vectors where that metric is not one. The service is eventually consistent: what was written may be
missing from searches for some seconds.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from llmops_kernel.rag.stores.adapter import LlamaStore
from llmops_kernel.rag.stores.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where

_ANSWER_SECONDS = 20.0
_COSINES = {"cosine", "dotproduct"}  # vectors have length 1


class PineconeStore(LlamaStore):
    """An index in Pinecone: one namespace of a Pinecone index that exists already."""

    title = "Pinecone"
    hint: ClassVar[str] = "Check the network, PINECONE_API_KEY, and that the Pinecone index exists"
    batch: ClassVar[int] = 100
    most: ClassVar[int | None] = 1_000  # with metadata
    text_bytes: ClassVar[int | None] = 8_000  # a vector's metadata may take 40 kB, twice the text
    linked: ClassVar[bool] = False

    _client: Any = None

    def _open(self) -> int | None:
        pinecone = load("pinecone", extra="pinecone")
        store = load("llama_index.vector_stores.pinecone", extra="pinecone").PineconeVectorStore
        place = self._place
        if self._client is None:
            host = place.host
            if not host:
                if "PINECONE_CONTROLLER_HOST" not in os.environ:  # the client heeds it
                    self._knock("api.pinecone.io", 443)
                control = pinecone.Pinecone(api_key=place.key, timeout=_ANSWER_SECONDS)
                host = control.indexes.describe(place.name).host
            parts = urlsplit(host if "://" in host else f"https://{host}")
            self._knock(str(parts.hostname), parts.port or (80 if parts.scheme == "http" else 443))
            self._client = pinecone.Index(host=host, api_key=place.key, timeout=_ANSWER_SECONDS)
        self._llama = store(
            pinecone_index=self._client,
            namespace=self._name,
            batch_size=self.batch,
            insert_kwargs={"show_progress": False},
        )
        stats = self._client.describe_index_stats()
        self._scored = stats.metric in _COSINES
        return stats.dimension if stats.dimension is None else int(stats.dimension)

    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        self._llama.add(self._nodes(chunks, vectors))

    def _remove(self, node_ids: list[str]) -> None:
        with _absent_is_empty():
            self._llama.delete_nodes(node_ids)

    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        found = self._ask(self._llama, vector, k, where)
        if self._scored:
            return found
        return [(node, _cosine(vector, node.embedding)) for node, _ in found]

    def _total(self) -> int:
        summary = self._client.describe_index_stats().namespaces.get(self._name)
        return int(summary.vector_count) if summary is not None else 0

    def _erase(self) -> None:
        with _absent_is_empty():
            self._llama.clear()

    def _release(self) -> None:
        if self._client is not None:
            self._client.close()


@contextmanager
def _absent_is_empty() -> Iterator[None]:
    """Pass over the failure to delete from a namespace that nothing was written to."""
    try:
        yield
    except load("pinecone.exceptions", extra="pinecone").NotFoundException:
        pass


def _cosine(one: list[float], other: list[float]) -> float:
    import numpy as np

    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
