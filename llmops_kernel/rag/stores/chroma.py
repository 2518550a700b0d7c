"""Chroma, in a folder or on a server.

What its LlamaIndex store leaves to be repaired: `add` skips ids that are there already, so writes
become upserts, in batches that the client takes; a collection's distance is squared Euclidean
unless it is told otherwise; scores come as exp(-distance).

A filter costs Chroma time in proportion to the chunks that pass it (5 microseconds each, where the
search itself takes a few milliseconds), and nearly all of a large index passes a tenant's filter.
So each tenant has a collection of its own, and a search visits the shared one and the tenant's: the
wall is a place, not a condition.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.rag.documents import SHARED
from llmops_kernel.rag.stores.adapter import LlamaStore
from llmops_kernel.rag.stores.base import Hit
from llmops_kernel.rag.stores.extras import load
from llmops_kernel.rag.stores.fields import WALL, wall_of

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where

_ANSWER_SECONDS = 60.0
_PAGE = 500  # collections in one listing; a server lists 100 unless it is asked for more
# Chroma's own defaults, but with twice the search breadth: hybrid search asks for 50 candidates,
# and at a breadth of 100 three of them were wrong, at 200 fewer than one.
_SPACE = {"hnsw": {"space": "cosine", "ef_search": 200}}


# What stands for a chunk id that Chroma could stumble over.
_RENAMED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ChromaStore(LlamaStore):
    """An index in Chroma: one collection for what all may see, one for each tenant."""

    title = "Chroma"
    hint: ClassVar[str] = "Check the folder, or that the server runs (chroma run --path FOLDER)"

    _client: Any = None
    _sessions: tuple[Any, ...] = ()

    def _open(self) -> int | None:
        chromadb = load("chromadb", extra="rag")
        settings = load("chromadb.config", extra="rag").Settings(anonymized_telemetry=False)
        place = self._place
        if self._client is not None:
            pass  # written again after `drop`
        elif place.path is not None:
            place.path.mkdir(parents=True, exist_ok=True)
            self._client = chromadb.PersistentClient(str(place.path), settings=settings)
        else:
            self._knock(place.host, place.port)
            self._client = chromadb.HttpClient(
                host=place.host,
                port=place.port,
                ssl=place.url.startswith("https"),
                headers={"x-chroma-token": place.key} if place.key else None,
                settings=settings,
            )
            # The client waits for ever, has no setting for it, and leaves its connections open
            # when it is closed.
            self._sessions = _sessions_of(self._client)
            for session in self._sessions:
                session.timeout = _ANSWER_SECONDS
        self._most = int(self._client.get_max_batch_size())
        self._collections: dict[str, Any] = {}
        return int(self._collection(SHARED, create=True).metadata["dim"])

    def _write(self, chunks: list[Chunk], vectors: list[list[float]]) -> None:
        tenants: dict[str, list[int]] = {}
        for row, chunk in enumerate(chunks):
            tenants.setdefault(chunk.tenant, []).append(row)
        for tenant, rows in tenants.items():
            collection = self._collection(tenant, create=True)
            mine = [chunks[row] for row in rows]
            self._remove([self._node_id(chunk.chunk_id) for chunk in mine], apart=collection.name)
            self._llama(collection).add(self._nodes(mine, [vectors[row] for row in rows]))

    def _remove(self, node_ids: list[str], *, apart: str = "") -> None:
        for collection in self._all():
            if collection.name == apart:
                continue
            for start in range(0, len(node_ids), self._most):
                # Asked first: deleting what is not there writes to the log of the collection.
                part = node_ids[start : start + self._most]
                if there := collection.get(ids=part, include=[])["ids"]:
                    collection.delete(ids=there)

    def query(self, vector: Vectors, k: int, where: Where) -> list[Hit]:
        """Return the nearest chunks that ``where`` lets through, best first, at most ``k``.

        Without conditions on metadata a tenant's collection is all that it may see, and ids and
        distances are enough: reading the stored texts too would take ten times longer.
        """
        if where.conditions:
            return super().query(vector, k, where)
        asked = self._unit_rows(vector.reshape(1, -1), 1)
        hits: list[Hit] = []
        with self._guard():
            if k <= 0 or not self._live:
                return []
            self._check_stored_dim()
            for tenant in where.tenants:
                collection = self._collection(tenant, create=False)
                if collection is None:
                    continue
                found = collection.query(
                    query_embeddings=asked.tolist(), n_results=k, include=["distances"]
                )
                hits += [
                    Hit(chunk_id, max(-1.0, min(1.0, 1.0 - distance)))
                    for chunk_id, distance in zip(
                        found["ids"][0], found["distances"][0], strict=True
                    )
                ]
        if any(_RENAMED.fullmatch(hit.chunk_id) for hit in hits):
            return super().query(vector, k, where)  # the node knows its chunk's own id
        hits.sort(key=lambda hit: (-hit.score, hit.chunk_id))
        return hits[:k]

    def _search(self, vector: list[float], k: int, where: Where) -> list[tuple[Any, float]]:
        found = []
        for tenant in where.tenants:
            collection = self._collection(tenant, create=False)
            if collection is None:
                continue
            asked = self._ask(self._llama(collection), vector, k, where, wall=False)
            # Not below the least float: exp(-2) is far above it.
            found += [(node, 1.0 + math.log(score)) for node, score in asked]
        # Each gave its nearest, so beyond as many the farther of the two may have left some out.
        found.sort(key=lambda pair: -pair[1])
        return found[:k]

    def _total(self) -> int:
        return sum(collection.count() for collection in self._all())

    def _erase(self) -> None:
        for collection in self._all():
            self._client.delete_collection(collection.name)
        self._collections.clear()

    def _release(self) -> None:
        if self._client is not None:
            self._client.close()
        for session in self._sessions:
            session.close()

    def _collection(self, tenant: str, *, create: bool) -> Any:
        """Return a tenant's collection; None when there is none and none is to be made."""
        name = self._name if tenant == SHARED else f"{self._name}-{wall_of(tenant)[1:17]}"
        if name not in self._collections:
            # No embedding function: the default one would be downloaded.
            if create:
                self._collections[name] = self._client.get_or_create_collection(
                    name,
                    embedding_function=None,
                    configuration=_SPACE,
                    metadata={"dim": self._dim},
                )
            else:
                missing = load("chromadb.errors", extra="rag").NotFoundError
                try:
                    found = self._client.get_collection(name, embedding_function=None)
                except missing:
                    return None  # not kept: another process may make it
                self._collections[name] = found
        return self._collections[name]

    def _all(self) -> list[Any]:
        """Return all collections of the index, those that another process made too."""
        self._collections = {}
        offset = 0
        while page := self._client.list_collections(limit=_PAGE, offset=offset):
            offset += len(page)
            self._collections |= {
                collection.name: collection
                for collection in page
                if collection.name == self._name or collection.name.startswith(f"{self._name}-")
            }
        return list(self._collections.values())

    def _llama(self, collection: Any) -> Any:
        store = load("llama_index.vector_stores.chroma", extra="rag").ChromaVectorStore
        return store(chroma_collection=_Upserting(collection, self._most))


def _sessions_of(client: Any) -> tuple[Any, ...]:
    """Return the HTTP sessions of a client and of the one that it asks about tenants."""
    parts = (client, getattr(client, "_admin_client", None))
    sessions = (getattr(getattr(part, "_server", None), "_session", None) for part in parts)
    return tuple(session for session in sessions if session is not None)


class _Upserting:
    """A collection whose `add` replaces what is there, in batches that the client takes.

    A field costs Chroma a row in each of two tables, so those that nothing asks for are left out:
    the wall, which is the collection, and two of LlamaIndex's three copies of the document's id.
    """

    def __init__(self, collection: Any, most: int) -> None:
        self._collection = collection
        self._most = most

    def add(self, **columns: list[Any]) -> None:
        for metadata in columns["metadatas"]:
            for name in (WALL, "doc_id", "ref_doc_id"):
                metadata.pop(name, None)
        for start in range(0, len(columns["ids"]), self._most):
            part = slice(start, start + self._most)
            self._collection.upsert(**{name: column[part] for name, column in columns.items()})

    def query(self, **asked: Any) -> Any:
        return self._collection.query(**asked)
