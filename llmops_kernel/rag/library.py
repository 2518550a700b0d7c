"""The indexes of a record: made, opened, listed, built anew, dropped."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.rag import record
from llmops_kernel.rag.chunking import DEFAULT, make_chunker
from llmops_kernel.rag.documents import make_chunks
from llmops_kernel.rag.index import Index
from llmops_kernel.rag.ingesting import failure_of
from llmops_kernel.rag.reading import Unreadable, find_sources, read
from llmops_kernel.rag.spec import IndexSpec, check_name
from llmops_kernel.rag.stores.urls import without_secrets
from llmops_kernel.store import rag_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.embed.protocol import Embedder, Vectors
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.ingesting import Failure
    from llmops_kernel.rag.record import DocumentEntry
    from llmops_kernel.store import Store


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """One line of the list of indexes."""

    name: str
    documents: int
    chunks: int
    embedder: str
    chunker: str
    store: str


class Library:
    """The retrieval indexes of a record.

    Args:
        store: The durable record.
        home: Folder for local vector stores and for what is derived from the record.
        embedder_of: Returns the embedder of a name.
        embedder: Name of the embedder for new indexes.
        vectors: URL of the vector store for new indexes.
    """

    def __init__(
        self,
        store: Store,
        *,
        home: Path,
        embedder_of: Callable[[str], Embedder],
        embedder: str,
        vectors: str,
    ) -> None:
        self._store = store
        self._home = home
        self._embedder_of = embedder_of
        self._embedder = embedder
        self._vectors = vectors
        self._open: dict[str, Index] = {}
        self._lock = RLock()

    def names(self) -> list[str]:
        """Return the names of all indexes."""
        return [row[0] for row in rag_rows.indexes(self._store) if "~" not in row[0]]

    def summaries(self) -> list[IndexSummary]:
        """Return all indexes, by name."""
        found = []
        for name, text, _, _ in rag_rows.indexes(self._store):
            if "~" in name:  # one that is being built
                continue
            spec = IndexSpec.from_json(name, text)
            documents, chunks, _ = rag_rows.totals(self._store, name)
            found.append(
                IndexSummary(
                    name, documents, chunks, spec.embedder_id, spec.chunker_spec, _kind(spec.store)
                )
            )
        return found

    def create(
        self,
        name: str,
        *,
        chunker: str | None = None,
        size: int | None = None,
        overlap: int | None = None,
        embedder: str | None = None,
        store: str | None = None,
    ) -> Index:
        """Make a new index.

        Raises:
            UsageProblem: The name is taken or cannot be one, or the chunker is unknown.
            SettingsError: The vector store's URL has a wrong form.
            StoreError: The vector store cannot be reached.
        """
        spec = self._spec(name, chunker, size, overlap, embedder, store)
        index = self._assemble(spec)
        _ = index.vectors  # an unknown or unreachable store makes no index
        if not record.create(self._store, name, spec.to_json()):
            index.close()
            raise UsageProblem(f"There is an index {name!r} already")
        with self._lock:
            self._open[name] = index
        return index

    def open(self, name: str) -> Index:
        """Open an index.

        Raises:
            UsageProblem: There is none of this name, or embedder or chunker have changed since.
        """
        with self._lock:
            row = rag_rows.index(self._store, name)
            if row is None:
                self._open.pop(name, None)
                known = self.names()
                hint = "llmops rag ingest NAME FOLDER makes one"
                raise UsageProblem(
                    f"There is no index {name!r}{nearest(name, known)}",
                    detail=f"known: {', '.join(known)}" if known else "",
                    hint=hint,
                )
            spec = IndexSpec.from_json(name, row[0])
            known_index = self._open.get(name)
            if known_index is None or known_index.spec != spec:
                if known_index is not None:
                    known_index.close()
                known_index = self._open[name] = self._assemble(spec)
            return known_index

    def open_or_create(self, name: str, **made_of: str | int | None) -> Index:
        """Open an index, or make it; what it is made of must fit an index that exists.

        Raises:
            UsageProblem: The index exists and is made of something else.
        """
        if rag_rows.index(self._store, name) is None:
            return self.create(name, **made_of)  # type: ignore[arg-type]
        index = self.open(name)
        for field, wanted in made_of.items():
            own = getattr(index.spec, field)
            if wanted is not None and wanted != own:
                raise UsageProblem(
                    f"The index {name!r} has another {field}",
                    detail=f"{_shown(own)}, not {_shown(wanted)}",
                    hint=f"Leave it out, or build anew: llmops rag reindex {name} "
                    f"--{field.replace('_', '-')} {_shown(wanted)}",
                )
        return index

    def drop(self, name: str) -> None:
        """Remove an index, its documents and its vectors."""
        index = self.open_unchecked(name)
        index.drop()
        index.close()
        with self._store.transaction() as tx:
            rag_rows.drop_index(tx, name)
        with self._lock:
            self._open.pop(name, None)

    def reindex(
        self,
        name: str,
        *,
        chunker: str | None = None,
        size: int | None = None,
        overlap: int | None = None,
        embedder: str | None = None,
        store: str | None = None,
    ) -> list[Failure]:
        """Build an index anew with other parts, or with newer versions of its own.

        The old one answers until the new one is whole. With the same chunker nothing is read
        again, and with the same embedder nothing is embedded again. Documents that must be read
        again and cannot be are left out, and returned.
        """
        old = self.open_unchecked(name)
        if chunker is None or chunker == old.spec.chunker:
            chunker = old.spec.chunker
            size = old.spec.size if size is None else size
            overlap = old.spec.overlap if overlap is None else overlap
        spec = self._spec(
            name, chunker, size, overlap, embedder or old.spec.embedder, store or old.spec.store
        )
        building = f"{name}~{secrets.token_hex(4)}"
        new = self._assemble(spec, record_name=building)
        _ = new.vectors
        record.create(self._store, building, spec.to_json())
        try:
            failures = _copy(old, new)
            with self._store.transaction() as tx:
                rag_rows.drop_index(tx, name)
                rag_rows.rename_index(tx, building, name)
        except BaseException:
            new.drop()
            with self._store.transaction() as tx:
                rag_rows.drop_index(tx, building)
            raise
        finally:
            new.close()
        old.drop()
        old.close()
        with self._lock:
            self._open.pop(name, None)
        return failures

    def close(self) -> None:
        """Let go of all open indexes."""
        with self._lock:
            for index in self._open.values():
                index.close()
            self._open.clear()

    def open_unchecked(self, name: str) -> Index:
        """Open an index whatever its parts have become: to drop it, or to build it anew."""
        row = rag_rows.index(self._store, name)
        if row is None:
            return self.open(name)  # raises, with the nearest name
        with self._lock:
            if name in self._open:
                return self._open[name]
        return _Opened(IndexSpec.from_json(name, row[0]), self._store, self._home)

    def _spec(
        self,
        name: str,
        chunker: str | None,
        size: int | None,
        overlap: int | None,
        embedder: str | None,
        store: str | None,
    ) -> IndexSpec:
        check_name(name)
        embedder_name = embedder or self._embedder
        model = self._embedder_of(embedder_name)
        chunker_name = chunker or DEFAULT
        cutter = make_chunker(chunker_name, size=size, overlap=overlap, embedder=model)
        return IndexSpec(
            name=name,
            embedder=embedder_name,
            embedder_id=model.id,
            dim=model.dim,
            chunker=chunker_name,
            size=size,
            overlap=overlap,
            chunker_spec=cutter.spec,
            store=store or self._vectors,
            collection=f"{name}-{secrets.token_hex(4)}",
        )

    def _assemble(self, spec: IndexSpec, *, record_name: str = "") -> Index:
        embedder = self._embedder_of(spec.embedder)
        chunker = make_chunker(
            spec.chunker, size=spec.size, overlap=spec.overlap, embedder=embedder
        )
        return Index(
            spec,
            self._store,
            embedder=embedder,
            chunker=chunker,
            home=self._home,
            record_name=record_name,
        )


class _Opened(Index):
    """An index whose embedder or chunker may be gone: enough to read it and to drop it."""

    def __init__(self, spec: IndexSpec, store: Store, home: Path) -> None:
        self.spec = spec
        self.record = record.IndexRecord(store, spec.name)
        self._home = home


def _copy(old: Index, new: Index) -> list[Failure]:
    """Fill a new index with the documents of an old one."""
    recut = old.spec.chunker_spec != new.spec.chunker_spec
    failures: list[Failure] = []
    for entry in old.record.documents().values():
        change = _read_again(entry, new, failures) if recut else _copied(entry, old, new)
        if change is not None:
            new.record.write([change])
    new.catch_up()
    return failures


def _read_again(entry: DocumentEntry, new: Index, failures: list[Failure]) -> record.Change | None:
    source = find_sources([entry.location])[0]
    try:
        document = replace(read(source, tenant=entry.tenant), source=entry.source)
    except Unreadable as problem:
        failures.append(replace(failure_of(problem), source=entry.source))
        return None
    chunks = make_chunks(document, new.chunker.split(document))
    stamp = ":".join(map(str, source.stamp)) if source.stamp else ""
    vectors = _embed(new.embedder, chunks)
    return record.Change(document, chunks, vectors, stamp, entry.root, entry.location)


def _copied(entry: DocumentEntry, old: Index, new: Index) -> record.Change:
    chunks = old.record.chunks_of(entry.doc_id)
    if old.spec.embedder_id == new.spec.embedder_id:
        known = old.record.vectors([chunk.chunk_id for chunk in chunks if chunk.leaf])
        vectors: Mapping[str, Vectors] = known
    else:
        vectors = _embed(new.embedder, chunks)
    return record.Change(entry, chunks, vectors, entry.stamp, entry.root, entry.location)


def _embed(embedder: Embedder, chunks: Sequence[Chunk]) -> dict[str, Vectors]:
    leaves = [chunk for chunk in chunks if chunk.leaf]
    if not leaves:
        return {}
    made = embedder.embed_texts([leaf.embedded_text for leaf in leaves])
    return {leaf.chunk_id: np.asarray(row) for leaf, row in zip(leaves, made, strict=True)}


def _shown(value: object) -> str:
    text = str(value)
    return without_secrets(text) if "@" in text and "://" in text else text


def _kind(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]
