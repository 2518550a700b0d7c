"""One index: what it is made of, what is in it, and how it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llmops_kernel.rag.documents import Document, Passage, text_of
from llmops_kernel.rag.record import IndexRecord
from llmops_kernel.rag.retrieve.retriever import Retriever
from llmops_kernel.rag.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.rag.chunking import Chunker, ChunkReport
    from llmops_kernel.rag.spec import IndexSpec
    from llmops_kernel.rag.stores import VectorStore
    from llmops_kernel.store import Store

# Chunks written to a vector store at once.
_BATCH = 512


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What is in an index.

    Attributes:
        documents: Documents by tenant; "" are the shared ones.
        chunks: Searched chunks.
        waiting: Chunks that the vector store has not got yet (an ingest was cut off).
        stored: Chunks the vector store says it has.
        report: Sizes of the chunks.
    """

    name: str
    documents: dict[str, int]
    chunks: int
    waiting: int
    stored: int
    embedder: str
    chunker: str
    store: str
    report: ChunkReport | None


class Index:
    """An open index.

    Args:
        spec: What it is made of.
        store: The durable record.
        embedder: Whose vectors it holds.
        chunker: What cuts its documents.
        home: Folder for what is derived from the record (and for stores that are only named).

    Raises:
        UsageProblem: Embedder or chunker do not belong to the index.
    """

    def __init__(
        self,
        spec: IndexSpec,
        store: Store,
        *,
        embedder: Embedder,
        chunker: Chunker,
        home: Path,
        record_name: str = "",
    ) -> None:
        spec.check(embedder, chunker)
        self.spec = spec
        self.embedder = embedder
        self.chunker = chunker
        self.record = IndexRecord(store, record_name or spec.name)
        self._home = home

    @property
    def name(self) -> str:
        """The index's name."""
        return self.spec.name

    @cached_property
    def vectors(self) -> VectorStore:
        """The vector store, opened at the first use (raises `StoreError`)."""
        return open_store(
            self.spec.store, index=self.spec.collection, dim=self.spec.dim, home=self._home
        )

    @cached_property
    def retriever(self) -> Retriever:
        """What searches the index."""
        return Retriever(self, folder=self._home / "bm25" / self.spec.collection)

    def catch_up(self) -> None:
        """Bring the vector store in step with the record, after whatever cut an ingest off."""
        while True:
            chunks, vectors = self.record.unstored(_BATCH)
            if not chunks:
                break
            self.vectors.upsert(chunks, vectors)
            self.record.mark_stored([chunk.chunk_id for chunk in chunks])
        if gone := self.record.gone():
            self.vectors.delete(gone)
            self.record.forget(gone)

    def stats(self) -> IndexStats:
        """Return what is in the index (raises `StoreError` when its store is down)."""
        tenants: dict[str, int] = {}
        listed = self.record.documents()
        for entry in listed.values():
            tenants[entry.tenant] = tenants.get(entry.tenant, 0) + 1
        _, chunks, waiting = self.record.totals()
        return IndexStats(
            self.name,
            dict(sorted(tenants.items())),
            chunks,
            waiting,
            self.vectors.count(),
            self.spec.embedder_id,
            self.spec.chunker_spec,
            self.vectors.label,
            self._report() if chunks else None,
        )

    def _report(self) -> ChunkReport:
        from llmops_kernel.rag.chunking import report_chunks

        return report_chunks(self.chunker, self._cut(), limit=self.embedder.max_tokens)

    def _cut(self) -> Iterator[tuple[Document, list[Passage]]]:
        """Yield each document, put together from its chunks, with its passages."""
        for doc_id, entry in self.record.documents().items():
            chunks = self.record.chunks_of(doc_id)
            # Within a paragraph chunks are apart by a space: a cut there is within a sentence.
            text = text_of(chunks, space=" ")
            passages = [Passage(each.start, each.end, leaf=each.leaf) for each in chunks]
            yield Document(entry.source, text), passages

    def drop(self) -> None:
        """Remove what belongs to the index from the vector store and from disk."""
        self.vectors.drop()
        self.retriever.forget()

    def close(self) -> None:
        """Let go of files and connections."""
        if "vectors" in self.__dict__:
            self.vectors.close()
