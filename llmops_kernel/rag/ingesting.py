"""Bringing documents into an index: what is new is read, what is unchanged costs nothing.

A document's chunks are written to the record first, then to the vector store, then marked as
stored. Whatever stops an ingest in between, the next one goes on from there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.documents import SHARED, Chunk, make_chunks
from llmops_kernel.rag.reading import MAX_BYTES, Unreadable, find_sources, read
from llmops_kernel.rag.record import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.index import Index
    from llmops_kernel.rag.reading import Source
    from llmops_kernel.rag.record import DocumentEntry

    # Told (done, all, name of the document in hand).
    Progress = Callable[[int, int, str], object]

# Documents are written in groups of about this many characters: small enough to lose little.
_GROUP_CHARACTERS = 60_000


@dataclass(frozen=True, slots=True)
class Failure:
    """A document that could not be read."""

    source: str
    reason: str
    detail: str = ""


@dataclass(slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        added: Documents that were not in the index.
        changed: Documents whose chunks were replaced.
        unchanged: Documents that say what they said.
        removed: Documents that are gone from the folders named.
        failed: Documents that could not be read; earlier versions of them stay.
        left_out: Hidden files and folders.
        chunks: Chunks written.
        embedded: Texts embedded; the others had a vector already.
        seconds: How long it took.
    """

    index: str
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[Failure] = field(default_factory=list)
    left_out: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every document could be read."""
        return not self.failed


def failure_of(problem: Unreadable) -> Failure:
    """Return what a report says of a document that could not be read."""
    name = problem.source.source
    detail = problem.detail.removeprefix(name).removeprefix(": ")
    return Failure(name, problem.reason, detail)


def ingest(
    index: Index,
    targets: Sequence[str],
    *,
    tenant: str = SHARED,
    prefix: str = "",
    progress: Progress | None = None,
    max_bytes: int = MAX_BYTES,
) -> IngestReport:
    """Read files, folders, patterns and addresses into an index.

    Documents that have gone from a folder or pattern named here are removed from the index.

    Args:
        index: Where they go.
        targets: What to read; see `find_sources`.
        tenant: Who may see the documents; "" for everybody.
        prefix: Put before each document's name, so that folders of one structure stay apart.
        progress: Told of each document.
        max_bytes: Larger files are reported, not read.

    Raises:
        UsageProblem: Nothing was named.
        StoreError: Record or vector store cannot be used. What was done before stays.
        ProviderError: A remote embedder failed.
        CallRefused: A cap refused a remote embedder's call.
    """
    if not targets:
        raise UsageProblem("There is nothing to ingest", hint="Name files, folders or addresses")
    return _Ingest(index, targets, tenant, prefix, max_bytes).run(progress)


class _Ingest:
    def __init__(
        self, index: Index, targets: Sequence[str], tenant: str, prefix: str, max_bytes: int
    ) -> None:
        self._index = index
        self._targets = list(targets)
        self._tenant = tenant
        self._prefix = prefix
        self._max_bytes = max_bytes
        self._roots = _roots(targets)
        self._report = IngestReport(index.name)
        self._group: list[Change] = []
        self._size = 0

    def run(self, progress: Progress | None) -> IngestReport:
        began = time.perf_counter()
        self._index.vectors.count()  # a store that is down says so before anything is written
        self._index.catch_up()
        known = {
            entry.source: entry
            for entry in self._index.record.documents().values()
            if entry.tenant == self._tenant
        }
        sources = find_sources(self._targets, max_bytes=self._max_bytes)
        for number, source in enumerate(sources):
            if progress is not None:
                progress(number, len(sources), source.source)
            self._take(source, known.get(self._prefix + source.source))
        self._write()
        self._sweep(known, {self._prefix + source.source for source in sources})
        if progress is not None:
            progress(len(sources), len(sources), "")
        self._report.seconds = time.perf_counter() - began
        return self._report

    def _take(self, source: Source, entry: DocumentEntry | None) -> None:
        report = self._report
        if source.problem == "hidden":
            report.left_out += 1
            return
        root = _root_of(source, self._roots)
        if entry is not None and _another(entry, source):
            report.failed.append(
                Failure(
                    source.source,
                    "name taken",
                    f"{entry.location} has this name in the index; give one of them a --prefix",
                )
            )
            return
        stamp = ":".join(map(str, source.stamp)) if source.stamp else ""
        if entry is not None and stamp and (entry.stamp, entry.root) == (stamp, root):
            report.unchanged += 1
            return
        try:
            document = read(source, tenant=self._tenant, max_bytes=self._max_bytes)
        except Unreadable as problem:
            report.failed.append(failure_of(problem))
            return
        document = replace(document, source=self._prefix + document.source)
        if entry is not None and entry.digest == document.digest:
            report.unchanged += 1
            chunks: list[Chunk] | None = None
        else:
            chunks = make_chunks(document, self._index.chunker.split(document))
            report.added += entry is None
            report.changed += entry is not None
        self._group.append(Change(document, chunks, {}, stamp, root, source.location))
        self._size += len(document.text) if chunks is not None else 0
        if self._size > _GROUP_CHARACTERS:
            self._write()

    def _write(self) -> None:
        """Embed and write what has gathered."""
        group, self._group, self._size = self._group, [], 0
        if not group:
            return
        index = self._index
        changes = self._embedded(group)
        index.record.write(changes)
        leaves = [chunk for change in changes for chunk in change.chunks or () if chunk.leaf]
        if leaves:
            vectors = {key: value for change in changes for key, value in change.vectors.items()}
            index.vectors.upsert(leaves, np.stack([vectors[leaf.chunk_id] for leaf in leaves]))
            index.record.mark_stored([leaf.chunk_id for leaf in leaves])
        self._report.chunks += len(leaves)
        index.catch_up()

    def _embedded(self, group: list[Change]) -> list[Change]:
        """Return the changes with the vectors of their chunks."""
        known = self._index.record.documents() if any(change.chunks for change in group) else {}
        vectors: list[dict[str, Vectors]] = []
        missing: list[tuple[int, Chunk]] = []
        for place, change in enumerate(group):
            entry = known.get(change.document.doc_id)
            old = self._index.record.vectors_by_text(entry) if entry and change.chunks else {}
            found: dict[str, Vectors] = {}
            for chunk in change.chunks or ():
                if not chunk.leaf:
                    continue
                if chunk.embedded_text in old:
                    found[chunk.chunk_id] = old[chunk.embedded_text]
                else:
                    missing.append((place, chunk))
            vectors.append(found)
        if missing:
            made = self._index.embedder.embed_texts([chunk.embedded_text for _, chunk in missing])
            for (place, chunk), vector in zip(missing, made, strict=True):
                vectors[place][chunk.chunk_id] = vector
            self._report.embedded += len(missing)
        return [
            replace(change, vectors=found) for change, found in zip(group, vectors, strict=True)
        ]

    def _sweep(self, known: dict[str, DocumentEntry], seen: set[str]) -> None:
        """Remove what has gone from the folders and patterns that were named."""
        roots = {label for label, _ in self._roots}
        gone = [
            entry.doc_id
            for source, entry in known.items()
            if entry.root in roots and source.startswith(self._prefix) and source not in seen
        ]
        if gone:
            self._index.record.remove(gone)
            self._index.catch_up()
            self._report.removed = len(gone)


def _roots(targets: Sequence[str]) -> list[tuple[str, Path]]:
    """Return (label, folder above) of the folders and patterns among targets."""
    roots = []
    for target in targets:
        path = Path(target).expanduser()
        if "://" in target:
            continue
        if path.is_dir():
            roots.append((str(path.absolute()), path.absolute()))
        elif not path.exists() and has_magic(target):
            parts = path.absolute().parts
            fixed = next(n for n in range(len(parts) + 1) if has_magic("".join(parts[: n + 1])))
            roots.append((str(path.absolute()), Path(*parts[:fixed])))
    return roots


def _root_of(source: Source, roots: list[tuple[str, Path]]) -> str:
    if source.kind == "url":
        return ""
    location = Path(source.location)
    return next((label for label, base in roots if location.is_relative_to(base)), "")


def _another(entry: DocumentEntry, source: Source) -> bool:
    """Whether a name stands for another file than before, and not for one that was moved."""
    return (
        source.kind != "url"
        and entry.location != source.location
        and Path(entry.location).is_file()
        and not Path(entry.location).samefile(source.location)
    )
