"""Retrieval's statements: indexes, their documents and chunks.

Functions take an open transaction or the store, and say nothing about policy; `rag` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.store.base import Store, Tx

# State of a chunk; see the schema.
NEW, STORED, GONE = 0, 1, 2
# Values one statement may bind; SQLite's own limit is higher.
_BATCH = 500


class DocumentRow(NamedTuple):
    """A document of an index; ``metadata`` is JSON."""

    doc_id: str
    source: str
    title: str
    tenant: str
    digest: str
    stamp: str
    root: str
    location: str
    metadata: str
    indexed: int


class ChunkRow(NamedTuple):
    """A chunk of an index; ``vector`` is None for chunks that are not searched."""

    chunk_id: str
    doc_id: str
    place: int
    text: str
    text_start: int
    text_end: int
    heading: str
    page: int | None
    parent_id: str
    leaf: int
    state: int
    vector: bytes | None


_DOCUMENT = ", ".join(DocumentRow._fields)
_CHUNK = ", ".join(ChunkRow._fields)
_TEXT = _CHUNK.removesuffix("vector") + "NULL"


def put_index(tx: Tx, name: str, spec: str, at: int) -> bool:
    """Insert an index; False when there is one of this name."""
    return (
        tx.run(
            "INSERT INTO rag_index (index_name, spec, revision, created) VALUES (?, ?, 0, ?) "
            "ON CONFLICT (index_name) DO NOTHING",
            (name, spec, at),
        )
        == 1
    )


def change_spec(tx: Tx, name: str, spec: str) -> None:
    """Write an index's description anew."""
    tx.run("UPDATE rag_index SET spec = ? WHERE index_name = ?", (spec, name))


def indexes(store: Store) -> list[tuple[str, str, int, int]]:
    """Return (name, spec, revision, created) of all indexes, by name."""
    rows = store.read("SELECT index_name, spec, revision, created FROM rag_index ORDER BY 1")
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def index(store: Store, name: str) -> tuple[str, int, int] | None:
    """Return (spec, revision, created) of an index."""
    rows = store.read("SELECT spec, revision, created FROM rag_index WHERE index_name = ?", (name,))
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


def touch(tx: Tx, name: str) -> None:
    """Count the revision up: what was derived from the chunks is out of date."""
    tx.run("UPDATE rag_index SET revision = revision + 1 WHERE index_name = ?", (name,))


def rename_index(tx: Tx, old: str, new: str) -> None:
    """Give an index another name, with everything in it; there must be none of the new name."""
    for table in ("rag_chunk", "rag_document", "rag_index"):
        tx.run(f"UPDATE {table} SET index_name = ? WHERE index_name = ?", (new, old))


def drop_index(tx: Tx, name: str) -> None:
    """Remove an index with everything in it."""
    for table in ("rag_chunk", "rag_document", "rag_index"):
        tx.run(f"DELETE FROM {table} WHERE index_name = ?", (name,))


def documents(store: Store, name: str) -> list[DocumentRow]:
    """Return the documents of an index, by source."""
    rows = store.read(
        f"SELECT {_DOCUMENT} FROM rag_document WHERE index_name = ? ORDER BY source, tenant",
        (name,),
    )
    return [DocumentRow(*row) for row in rows]


def put_document(tx: Tx, name: str, row: DocumentRow) -> None:
    """Insert a document, or replace it."""
    tx.run(
        f"INSERT INTO rag_document (index_name, {_DOCUMENT}) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (index_name, doc_id) DO UPDATE SET "
        "title = excluded.title, digest = excluded.digest, stamp = excluded.stamp, "
        "root = excluded.root, location = excluded.location, metadata = excluded.metadata, "
        "indexed = excluded.indexed",
        (name, *row),
    )


def drop_document(tx: Tx, name: str, doc_id: str) -> None:
    """Remove a document; its chunks are marked for removal from the vector store."""
    tx.run("DELETE FROM rag_document WHERE index_name = ? AND doc_id = ?", (name, doc_id))
    retire(tx, name, doc_id, keep=())


def put_chunks(tx: Tx, name: str, rows: Iterable[ChunkRow]) -> None:
    """Insert chunks; those that are there keep their state."""
    for row in rows:
        tx.run(
            f"INSERT INTO rag_chunk (index_name, {_CHUNK}) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (index_name, chunk_id) DO UPDATE SET place = excluded.place, "
            "heading = excluded.heading, page = excluded.page, parent_id = excluded.parent_id, "
            "leaf = excluded.leaf, vector = excluded.vector, state = excluded.state",
            (name, *row),
        )


def retire(tx: Tx, name: str, doc_id: str, keep: Sequence[str]) -> None:
    """Mark a document's chunks, but for some, for removal; those never searched go at once."""
    kept = set(keep)
    rows = tx.rows(
        "SELECT chunk_id, leaf FROM rag_chunk WHERE index_name = ? AND doc_id = ?", (name, doc_id)
    )
    for chunk_id, leaf in rows:
        if chunk_id in kept:
            continue
        if leaf:
            tx.run(
                "UPDATE rag_chunk SET state = 2, vector = NULL "
                "WHERE index_name = ? AND chunk_id = ?",
                (name, chunk_id),
            )
        else:
            drop_chunks(tx, name, [chunk_id])


def drop_chunks(tx: Tx, name: str, chunk_ids: Sequence[str]) -> None:
    """Remove chunks."""
    for batch in _batches(chunk_ids):
        marks = ", ".join("?" * len(batch))
        tx.run(
            f"DELETE FROM rag_chunk WHERE index_name = ? AND chunk_id IN ({marks})", (name, *batch)
        )


def mark_stored(tx: Tx, name: str, chunk_ids: Sequence[str]) -> None:
    """Note that the vector store has these chunks."""
    for batch in _batches(chunk_ids):
        marks = ", ".join("?" * len(batch))
        tx.run(
            "UPDATE rag_chunk SET state = 1 "
            f"WHERE index_name = ? AND state = 0 AND chunk_id IN ({marks})",
            (name, *batch),
        )


def mark_unstored(tx: Tx, name: str) -> None:
    """Note that the vector store has lost everything: all is to be written again."""
    tx.run("UPDATE rag_chunk SET state = 0 WHERE index_name = ? AND state = 1", (name,))


def unstored(store: Store, name: str, limit: int) -> list[ChunkRow]:
    """Return searched chunks that the vector store has not got yet."""
    rows = store.read(
        f"SELECT {_CHUNK} FROM rag_chunk WHERE index_name = ? AND state = 0 AND leaf = 1 LIMIT ?",
        (name, limit),
    )
    return [ChunkRow(*row) for row in rows]


def gone(store: Store, name: str) -> list[str]:
    """Return the ids of chunks that the vector store should have no more."""
    rows = store.read("SELECT chunk_id FROM rag_chunk WHERE index_name = ? AND state = 2", (name,))
    return [row[0] for row in rows]


def chunks(store: Store, name: str, chunk_ids: Sequence[str]) -> list[ChunkRow]:
    """Return chunks by id, without vectors, in no order; retired ones are left out."""
    found: list[ChunkRow] = []
    for batch in _batches(chunk_ids):
        marks = ", ".join("?" * len(batch))
        rows = store.read(
            f"SELECT {_TEXT} FROM rag_chunk "
            f"WHERE index_name = ? AND state < 2 AND chunk_id IN ({marks})",
            (name, *batch),
        )
        found += [ChunkRow(*row) for row in rows]
    return found


def vectors(store: Store, name: str, chunk_ids: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return (id, vector) of searched chunks, in no order; unknown ones are left out."""
    found: list[tuple[str, bytes]] = []
    for batch in _batches(chunk_ids):
        marks = ", ".join("?" * len(batch))
        rows = store.read(
            "SELECT chunk_id, vector FROM rag_chunk WHERE index_name = ? AND state < 2 "
            f"AND vector IS NOT NULL AND chunk_id IN ({marks})",
            (name, *batch),
        )
        found += [(row[0], row[1]) for row in rows]
    return found


def chunks_of(store: Store, name: str, doc_id: str) -> list[ChunkRow]:
    """Return the chunks of a document, in order."""
    rows = store.read(
        f"SELECT {_CHUNK} FROM rag_chunk WHERE index_name = ? AND doc_id = ? AND state < 2 "
        "ORDER BY place",
        (name, doc_id),
    )
    return [ChunkRow(*row) for row in rows]


def searched(store: Store, name: str) -> list[tuple[Any, ...]]:
    """Return (chunk_id, doc_id, heading, page) of all chunks that are searched, by id."""
    return store.read(
        "SELECT chunk_id, doc_id, heading, page FROM rag_chunk "
        "WHERE index_name = ? AND leaf = 1 AND state < 2 ORDER BY chunk_id",
        (name,),
    )


def searched_texts(store: Store, name: str) -> list[str]:
    """Return the texts of all chunks that are searched, in the order of `searched`."""
    rows = store.read(
        "SELECT text FROM rag_chunk WHERE index_name = ? AND leaf = 1 AND state < 2 "
        "ORDER BY chunk_id",
        (name,),
    )
    return [row[0] for row in rows]


def sample_vectors(store: Store, name: str, limit: int) -> list[bytes]:
    """Return vectors of some searched chunks. Ids are hashes, so the first ones are a sample."""
    rows = store.read(
        "SELECT vector FROM rag_chunk WHERE index_name = ? AND leaf = 1 AND state < 2 "
        "AND vector IS NOT NULL ORDER BY chunk_id LIMIT ?",
        (name, limit),
    )
    return [row[0] for row in rows]


def children_counts(store: Store, name: str, parent_ids: Sequence[str]) -> dict[str, int]:
    """Return how many searched chunks each parent has."""
    counts: dict[str, int] = {}
    for batch in _batches(parent_ids):
        marks = ", ".join("?" * len(batch))
        rows = store.read(
            "SELECT parent_id, COUNT(*) FROM rag_chunk WHERE index_name = ? AND state < 2 "
            f"AND leaf = 1 AND parent_id IN ({marks}) GROUP BY parent_id",
            (name, *batch),
        )
        counts.update({row[0]: row[1] for row in rows})
    return counts


def totals(store: Store, name: str) -> tuple[int, int, int]:
    """Return (documents, searched chunks, chunks that wait for the vector store)."""
    (documents_,) = store.read("SELECT COUNT(*) FROM rag_document WHERE index_name = ?", (name,))[0]
    all_, waiting = store.read(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = 0 THEN 1 ELSE 0 END), 0) FROM rag_chunk "
        "WHERE index_name = ? AND leaf = 1 AND state < 2",
        (name,),
    )[0]
    return documents_, all_, int(waiting)


def _batches(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
