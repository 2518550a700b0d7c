"""An index's documents and chunks in the durable record.

The record is the truth and the vector store a copy to search: what is not in the record is not
found, whatever a store returns, and a store can be filled again from here without reading or
embedding anything.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.rag.documents import Chunk
from llmops_kernel.store import rag_rows
from llmops_kernel.store.rag_rows import NEW, ChunkRow, DocumentRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.documents import Document, Value
    from llmops_kernel.store import Store, Tx

# Half precision: a cosine keeps three digits, and 100,000 chunks take 77 MB.
_HALF = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class DocumentEntry:
    """A document as the record knows it.

    Attributes:
        digest: Hash of what its chunks were made from.
        stamp: What its file looked like from outside; "" when that says nothing.
        root: The folder or pattern that it was found in; "" when it was named itself.
        location: Its absolute path or URL.
        metadata: Facts to filter by.
    """

    doc_id: str
    source: str
    title: str
    tenant: str
    digest: str
    stamp: str
    root: str
    location: str
    metadata: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """A document to be written.

    Attributes:
        chunks: Its chunks; None leaves those there are (the file was touched and says the same).
        vectors: One for each searched chunk, by id.
        stamp: What its file looks like from outside.
        root: Where it was found.
        location: Its absolute path or URL.
    """

    document: Document | DocumentEntry
    chunks: Sequence[Chunk] | None
    vectors: Mapping[str, Vectors]
    stamp: str
    root: str
    location: str


class IndexRecord:
    """The documents and chunks of one index.

    Args:
        store: The durable record.
        name: The index.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name
        self._documents: tuple[int, dict[str, DocumentEntry]] = (-1, {})

    def revision(self) -> int:
        """Return a number that changes whenever the chunks do."""
        found = rag_rows.index(self._store, self.name)
        return found[1] if found else -1

    def documents(self) -> dict[str, DocumentEntry]:
        """Return all documents by id."""
        revision = self.revision()
        if self._documents[0] != revision:
            rows = rag_rows.documents(self._store, self.name)
            self._documents = (revision, {row.doc_id: _entry(row) for row in rows})
        return self._documents[1]

    def write(self, changes: Sequence[Change]) -> None:
        """Write documents with their chunks, in place of earlier versions, all or nothing."""
        with self._store.transaction() as tx:
            for change in changes:
                document = change.document
                if change.chunks is not None:
                    keep = [chunk.chunk_id for chunk in change.chunks]
                    rag_rows.retire(tx, self.name, document.doc_id, keep=keep)
                    rows = [
                        _row(chunk, place, change.vectors)
                        for place, chunk in enumerate(change.chunks)
                    ]
                    rag_rows.put_chunks(tx, self.name, rows)
                rag_rows.put_document(tx, self.name, _document_row(change))
            rag_rows.touch(tx, self.name)

    def remove(self, doc_ids: Sequence[str]) -> None:
        """Remove documents."""
        with self._store.transaction() as tx:
            for doc_id in doc_ids:
                rag_rows.drop_document(tx, self.name, doc_id)
            rag_rows.touch(tx, self.name)

    def vectors_by_text(self, document: DocumentEntry) -> dict[str, Vectors]:
        """Return a document's vectors by the text they were made from: moved text keeps its own."""
        known = {document.doc_id: document}
        return {
            _chunk(row, known).embedded_text: _vector(row.vector)
            for row in rag_rows.chunks_of(self._store, self.name, document.doc_id)
            if row.vector is not None
        }

    def unstored(self, limit: int) -> tuple[list[Chunk], Vectors]:
        """Return chunks, and their vectors, that the vector store has not got yet."""
        documents = self.documents()
        rows = [
            row
            for row in rag_rows.unstored(self._store, self.name, limit)
            if row.vector is not None and row.doc_id in documents
        ]
        vectors = [_vector(row.vector) for row in rows if row.vector is not None]
        stacked: Vectors = np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
        return [_chunk(row, documents) for row in rows], stacked

    def gone(self) -> list[str]:
        """Return the ids of chunks that the vector store should have no more."""
        return rag_rows.gone(self._store, self.name)

    def mark_stored(self, chunk_ids: Sequence[str]) -> None:
        """Note that the vector store has these chunks."""
        self._change(rag_rows.mark_stored, chunk_ids)

    def forget(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks that the vector store has removed."""
        self._change(rag_rows.drop_chunks, chunk_ids)

    def refill(self) -> None:
        """Note that the vector store is empty: all chunks are to be written to it."""
        self._change(rag_rows.mark_unstored)

    def chunks(self, chunk_ids: Sequence[str]) -> dict[str, Chunk]:
        """Return chunks by id; unknown ones are left out."""
        documents = self.documents()
        rows = rag_rows.chunks(self._store, self.name, chunk_ids)
        return {row.chunk_id: _chunk(row, documents) for row in rows if row.doc_id in documents}

    def vectors(self, chunk_ids: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of chunks by id; unknown ones are left out."""
        rows = rag_rows.vectors(self._store, self.name, chunk_ids)
        return {chunk_id: _vector(vector) for chunk_id, vector in rows}

    def chunks_of(self, doc_id: str) -> list[Chunk]:
        """Return the chunks of a document, in order."""
        documents = self.documents()
        if doc_id not in documents:
            return []
        rows = rag_rows.chunks_of(self._store, self.name, doc_id)
        return [_chunk(row, documents) for row in rows]

    def searched(self) -> list[tuple[Any, ...]]:
        """Return (chunk_id, doc_id, heading, page) of all chunks that are searched, by id."""
        return rag_rows.searched(self._store, self.name)

    def searched_texts(self) -> list[str]:
        """Return the texts of all chunks that are searched, in the order of `searched`."""
        return rag_rows.searched_texts(self._store, self.name)

    def sample(self, limit: int) -> Vectors:
        """Return vectors of some chunks, shape (up to ``limit``, dim); all when there are fewer."""
        found = [_vector(each) for each in rag_rows.sample_vectors(self._store, self.name, limit)]
        empty: Vectors = np.empty((0, 0), np.float32)
        return np.stack(found) if found else empty

    def children_counts(self, parent_ids: Sequence[str]) -> dict[str, int]:
        """Return how many searched chunks each parent has."""
        return rag_rows.children_counts(self._store, self.name, parent_ids)

    def totals(self) -> tuple[int, int, int]:
        """Return (documents, searched chunks, chunks that wait for the vector store)."""
        return rag_rows.totals(self._store, self.name)

    def _change(self, change: Any, *arguments: Any) -> None:
        with self._store.transaction() as tx:
            change(tx, self.name, *arguments)


def create(store: Store, name: str, spec: str) -> bool:
    """Insert an index; False when there is one of this name."""

    def put(tx: Tx) -> bool:
        return rag_rows.put_index(tx, name, spec, int(time.time() * 1e6))

    with store.transaction() as tx:
        return put(tx)


def _entry(row: DocumentRow) -> DocumentEntry:
    return DocumentEntry(
        row.doc_id,
        row.source,
        row.title,
        row.tenant,
        row.digest,
        row.stamp,
        row.root,
        row.location,
        json.loads(row.metadata),
    )


def _document_row(change: Change) -> DocumentRow:
    document = change.document
    return DocumentRow(
        document.doc_id,
        document.source,
        document.title,
        document.tenant,
        document.digest,
        change.stamp,
        change.root,
        change.location,
        json.dumps(dict(document.metadata), ensure_ascii=False),
        int(time.time() * 1e6),
    )


def _row(chunk: Chunk, place: int, vectors: Mapping[str, Vectors]) -> ChunkRow:
    vector = vectors[chunk.chunk_id].astype(_HALF).tobytes() if chunk.leaf else None
    return ChunkRow(
        chunk.chunk_id,
        chunk.doc_id,
        place,
        chunk.text,
        chunk.start,
        chunk.end,
        chunk.heading,
        chunk.page,
        chunk.parent_id,
        int(chunk.leaf),
        NEW,
        vector,
    )


def _chunk(row: ChunkRow, documents: Mapping[str, DocumentEntry]) -> Chunk:
    document = documents[row.doc_id]
    return Chunk(
        chunk_id=row.chunk_id,
        doc_id=row.doc_id,
        source=document.source,
        title=document.title,
        tenant=document.tenant,
        text=row.text,
        start=row.text_start,
        end=row.text_end,
        heading=row.heading,
        page=row.page,
        parent_id=row.parent_id,
        leaf=bool(row.leaf),
        metadata=document.metadata,
    )


def _vector(data: bytes | None) -> Vectors:
    assert data is not None, "only searched chunks have vectors"
    return np.frombuffer(bytes(data), _HALF).astype(np.float32)
