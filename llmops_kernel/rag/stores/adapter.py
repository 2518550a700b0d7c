"""What all kinds of stores share: nodes and filters of LlamaIndex, checks, and clear failures."""

from __future__ import annotations

import hashlib
import re
import socket
import urllib.request
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.errors import LLMOpsError, StoreError, UsageProblem
from llmops_kernel.rag.stores.base import Hit
from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.stores.fields import filters_of, is_exact
from llmops_kernel.rag.stores.nodes import chunk_id_of, facts_of, node_of, plain_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.stores.urls import Place
    from llmops_kernel.rag.where import Where

_CONNECT_SECONDS = 3.0


class LlamaStore(ABC):
    """The part of a store that belongs to one index, reached through LlamaIndex.

    Filters that the store cannot decide exactly are asked loosely; what comes back is checked with
    `Where.holds`, and more is fetched until enough chunks pass or the store has no more.

    Attributes:
        title: The store's name, for people.
        hint: What to do when it cannot be reached.
        batch: Chunks in one write.
        most: Chunks one search may ask for; None for no limit.
        text_bytes: Longest text that is stored beside a vector (UTF-8); None for no limit.
        linked: Whether nodes name their document.
    """

    title: ClassVar[str]
    hint: ClassVar[str]
    batch: ClassVar[int] = 500
    most: ClassVar[int | None] = None
    text_bytes: ClassVar[int | None] = None
    linked: ClassVar[bool] = True

    def __init__(self, place: Place, *, index: str, dim: int) -> None:
        self._place = place
        self._index = index
        self._dim = dim
        self._name = collection_name(index)
        self._stored_dim: int | None = None
        self._live = False  # False after `drop`, until something is written again
        self._closed = False
        try:
            with self._guard():
                self._start()
        except BaseException:
            self._quit()
            raise

    @property
    def label(self) -> str:
        """The store for people, without secrets."""
        return f"{self.title} ({self._place.label})"

    def upsert(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Write chunks with their vectors (n, dim), replacing those of the same ids.

        A failure half-way leaves a part of them written; the same call again repairs that.

        Raises:
            UsageProblem: The vectors do not fit the chunks or the index, or have no direction.
            StoreError: The store cannot be written, or holds vectors of another length.
        """
        rows = self._unit_rows(vectors, len(chunks))
        with self._guard():
            if not self._live:
                self._start()
            self._check_stored_dim()
            last = {chunk.chunk_id: row for row, chunk in enumerate(chunks)}  # one write per id
            order = sorted(last.values())
            for start in range(0, len(order), self.batch):
                part = order[start : start + self.batch]
                self._write([chunks[row] for row in part], rows[part].tolist())

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; unknown ids are ignored."""
        names = list(dict.fromkeys(self._node_id(chunk_id) for chunk_id in chunk_ids))
        with self._guard():
            for start in range(0, len(names) if self._live else 0, self.batch):
                self._remove(names[start : start + self.batch])

    def query(self, vector: Vectors, k: int, where: Where) -> list[Hit]:
        """Return the nearest chunks that ``where`` lets through, best first, at most ``k``.

        Raises:
            UsageProblem: The vector does not fit the index.
            StoreError: The store cannot be read, or holds vectors of another length.
        """
        asked: list[float] = self._unit_rows(vector.reshape(1, -1), 1)[0].tolist()
        hopeless = any(condition.value == () for condition in where.conditions)
        with self._guard():
            if k <= 0 or hopeless or not self._live:
                return []
            self._check_stored_dim()
            want = k if is_exact(where) else max(4 * k, 50)
            while True:
                want = want if self.most is None else min(want, self.most)
                found = self._search(asked, want, where)
                passed = [
                    Hit(chunk_id_of(node), max(-1.0, min(1.0, float(cosine))))
                    for node, cosine in found
                    if where.holds(facts_of(node))
                ]
                if len(passed) >= k or len(found) < want or want == self.most:
                    passed.sort(key=lambda hit: (-hit.score, hit.chunk_id))
                    return passed[:k]
                want *= 4

    def count(self) -> int:
        """Return the number of chunks."""
        with self._guard():
            return self._total() if self._live else 0

    def drop(self) -> None:
        """Remove everything that belongs to the index from the store."""
        with self._guard():
            if self._live:
                self._erase()
                self._live = False
                self._stored_dim = None

    def close(self) -> None:
        """Let go of files and connections; closing twice is harmless."""
        if not self._closed:
            self._quit()

    @abstractmethod
    def _open(self) -> int | None:
        """Connect, create what is missing, and return the length of the vectors that are there."""

    @abstractmethod
    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        """Write a batch, replacing chunks of the same ids."""

    @abstractmethod
    def _remove(self, node_ids: list[str]) -> None: ...

    @abstractmethod
    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        """Return the nearest ``k`` nodes that pass, or all there are, with their cosines."""

    @abstractmethod
    def _total(self) -> int: ...

    @abstractmethod
    def _erase(self) -> None: ...

    @abstractmethod
    def _release(self) -> None:
        """Let go of what `_open` took, also when that failed half-way."""

    def _node_id(self, chunk_id: str) -> str:
        return plain_id(chunk_id)

    def _nodes(self, chunks: list[Chunk], vectors: list[list[float]]) -> list[Any]:
        return [
            node_of(
                chunk,
                vector,
                name=self._node_id,
                text_bytes=self.text_bytes,
                linked=self.linked,
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]

    def _ask(
        self, llama: Any, vector: list[float], k: int, where: Where, *, wall: bool = True
    ) -> list[tuple[Any, float]]:
        """Query a LlamaIndex vector store; scores are its own."""
        types = load("llama_index.core.vector_stores.types", extra="rag")
        answer = llama.query(
            types.VectorStoreQuery(
                query_embedding=vector,
                similarity_top_k=k,
                filters=filters_of(where, wall=wall),
            )
        )
        return list(zip(answer.nodes or [], answer.similarities or [], strict=True))

    def _start(self) -> None:
        self._stored_dim = self._open()
        self._live = True

    def _quit(self) -> None:
        self._closed = True
        # Nothing can be done about a client that fails while it is let go.
        with suppress(Exception):
            self._release()

    def _check_stored_dim(self) -> None:
        if self._stored_dim not in {None, self._dim}:
            raise StoreError(
                f"{self.title} holds vectors of another length for this index",
                detail=f"{self._stored_dim} there, {self._dim} from the embedder",
                hint="The embedder has changed: drop the index and ingest its documents again",
            )

    def _unit_rows(self, vectors: Vectors, rows: int) -> Vectors:
        import numpy as np

        if vectors.shape != (rows, self._dim):
            raise UsageProblem(
                "The vectors do not fit the index",
                detail=f"an array of {vectors.shape}, expected ({rows}, {self._dim})",
                hint="Use the embedder that the index was made with",
            )
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise UsageProblem(
                "A vector has no direction",
                detail="zero, or not finite, so no cosine can be computed",
                hint="Check the embedder",
            )
        unit: Vectors = (vectors / lengths).astype(np.float32)
        return unit

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn what a client raises, of whatever type, into a `StoreError`."""
        if self._closed:
            raise StoreError(f"{self.title} is closed", detail=self.label, hint="Open it again")
        try:
            yield
        except LLMOpsError:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> StoreError:
        text = str(error).strip() or type(error).__name__
        # The first line is enough, and a client may quote the URL it was given.
        line = text.splitlines()[0][:300]
        if len(self._place.key) > 3:  # a shorter one would only riddle the text
            line = line.replace(self._place.key, "***")
        return StoreError(
            f"{self.title} cannot be used", detail=f"{self._place.label}: {line}", hint=self.hint
        )

    def _knock(self, host: str, port: int) -> None:
        """Fail within seconds when nobody listens: some clients wait for minutes."""
        if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
            return
        try:
            socket.create_connection((host, port), _CONNECT_SECONDS).close()
        except OSError as error:
            raise StoreError(
                f"{self.title} cannot be reached",
                detail=f"{self._place.label}: {error}",
                hint=self.hint,
            ) from error


def collection_name(index: str) -> str:
    """Return the name of an index in a store: letters, digits and "_", at most 42 characters.

    Different indexes have different names, however alike they look to a store.
    """
    readable = re.sub(r"[^a-z0-9]+", "_", index.lower()).strip("_")[:20].strip("_") or "index"
    digest = hashlib.sha256(index.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"llmops_{readable}_{digest}"
