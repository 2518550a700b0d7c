"""The statements about partitions that a PostgreSQL server compares: pgvector beside the record.

`cache_vector` stays the truth. `cache_neighbour` holds a copy of its vectors in a column that the
server can search; it is made when the first partition needs it, so a server without the extension
has a whole record all the same, and its rows go with those they are copies of. Each partition has
an HNSW index of its own (cosine), partial by its place: an index over all of them would search
through others' texts first.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

from llmops_kernel.errors import StoreError
from llmops_kernel.store.margin_rows import VectorRow
from llmops_kernel.store.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.store.base import Store, Tx

    Numbered: TypeAlias = list[tuple[int, VectorRow]]

LONGEST = 2_000
"""Numbers of the longest vector that an HNSW index takes."""

_EXTENSION = "vector"
_LEAST_VERSION = (0, 8)  # whose index scans go on until a filter has what it asked for
_BREADTH = "200"  # candidates of an index scan: of 40, its default, too many are missed
_WORK_MEMORY = "256MB"  # about 100,000 vectors of 384 numbers with their graph
_LOCK = 7_011_977  # any constant: two kernels must not create the table at once
_HEX = re.compile(r"[0-9a-f]{1,128}")
_ROW = ", ".join(f"v.{name}" for name in VectorRow._fields)
_TABLE = (
    """CREATE TABLE IF NOT EXISTS cache_neighbour (
        seq BIGINT PRIMARY KEY REFERENCES cache_vector (seq) ON DELETE CASCADE,
        place TEXT NOT NULL,
        group_id TEXT NOT NULL,
        answer TEXT NOT NULL,
        expires BIGINT NOT NULL,
        embedding vector NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS cache_neighbour_group ON cache_neighbour (place, group_id)",
    "CREATE INDEX IF NOT EXISTS cache_neighbour_answer ON cache_neighbour (place, answer)",
)


def prepare(store: Store, dim: int) -> str:
    """Make the table for a server's own search; return why it cannot be had, "" where it can.

    Args:
        store: The record.
        dim: Numbers of a vector.
    """
    if not isinstance(store, PostgresStore):
        return "the record is no PostgreSQL database"
    if dim > LONGEST:
        return f"vectors of more than {LONGEST:,} numbers cannot be indexed"
    try:
        found = store.read(
            "SELECT e.extversion, a.default_version FROM pg_available_extensions AS a "
            "LEFT JOIN pg_extension AS e ON e.extname = a.name WHERE a.name = ?",
            (_EXTENSION,),
        )
        if not found:
            return "the record's server does not have the vector extension"
        if _version(found[0][0] or found[0][1]) < _LEAST_VERSION:
            return "the record's server has a vector extension older than 0.8"
        with store.transaction() as tx:
            tx.rows("SELECT pg_advisory_xact_lock(?)", (_LOCK,))
            tx.run(f"CREATE EXTENSION IF NOT EXISTS {_EXTENSION}")
            for statement in _TABLE:
                tx.run(statement)
    except StoreError as error:
        return f"the vector extension cannot be used: {error.sentence()}"
    return ""


def is_prepared(store: Store) -> bool:
    """Tell whether the table for a server's own search is there."""
    if not isinstance(store, PostgresStore):
        return False
    return bool(store.read("SELECT to_regclass('cache_neighbour') IS NOT NULL")[0][0])


def missing(store: Store, place: str, after: int, at: int, limit: int) -> Numbered:
    """Return (number, row) of a partition that the server does not search yet, oldest first."""
    rows = store.read(
        f"SELECT v.seq, {_ROW} FROM cache_vector AS v WHERE v.place = ? AND v.seq > ? "
        "AND v.expires > ? AND NOT EXISTS "
        "(SELECT 1 FROM cache_neighbour AS n WHERE n.seq = v.seq) ORDER BY v.seq LIMIT ?",
        (place, after, at, limit),
    )
    return _numbered(rows)


def take_in(tx: Tx, vectors: Iterable[tuple[int, Sequence[float]]]) -> None:
    """Let the server search rows, given by number and vector; those that are gone are left out."""
    found = [*vectors]
    tx.run(
        "INSERT INTO cache_neighbour (seq, place, group_id, answer, expires, embedding) "
        "SELECT v.seq, v.place, v.group_id, v.answer, v.expires, e.embedding::vector "
        "FROM unnest(?::bigint[], ?::text[]) AS e (seq, embedding) "
        "JOIN cache_vector AS v ON v.seq = e.seq ON CONFLICT (seq) DO NOTHING",
        ([number for number, _ in found], [_text(vector) for _, vector in found]),
    )


def search(tx: Tx, *, exact: bool) -> None:
    """Say how the rest of a transaction searches: by the index, or by comparing everything."""
    tx.rows(
        "SELECT set_config('hnsw.ef_search', ?, true), set_config('jit', 'off', true), "
        "set_config('hnsw.iterative_scan', 'strict_order', true), "
        "set_config('enable_indexscan', ?, true)",
        (_BREADTH, "off" if exact else "on"),
    )


def nearest(
    tx: Tx, place: str, query: Sequence[float], at: int, limit: int, *, apart_from: str = ""
) -> Numbered:
    """Return (number, row) of a partition's texts nearest to a query, nearest first.

    Args:
        tx: A transaction that `search` was said in.
        place: The partition.
        query: Of length 1.
        at: Microseconds since the epoch; what has expired by then is left out.
        limit: How many.
        apart_from: An answer group that is left out.
    """
    other = "" if not apart_from else "AND group_id <> ? "
    rows = tx.rows(
        f"SELECT v.seq, {_ROW} FROM (SELECT seq, {_distance(len(query))} AS distance "
        # Literally, and not as a value: only then is it known to be the index's own.
        f"FROM cache_neighbour WHERE place = '{_hex(place)}' AND expires > ? {other}"
        "ORDER BY distance LIMIT ?) AS n JOIN cache_vector AS v ON v.seq = n.seq "
        "ORDER BY n.distance, v.seq",
        (_text(query), at, *([apart_from] if apart_from else []), limit),
    )
    return _numbered(rows)


def wordings(tx: Tx, place: str, group: str, at: int) -> int:
    """Return how many searched texts an answer group has."""
    rows = tx.rows(
        "SELECT COUNT(*) FROM cache_neighbour WHERE place = ? AND group_id = ? AND expires > ?",
        (place, group, at),
    )
    return int(rows[0][0])


def of_answer(store: Store, place: str, answer: str) -> VectorRow | None:
    """Return the newest searched text of an answer."""
    rows = store.read(
        f"SELECT v.seq, {_ROW} FROM cache_neighbour AS n JOIN cache_vector AS v ON v.seq = n.seq "
        "WHERE n.place = ? AND n.answer = ? ORDER BY n.seq DESC LIMIT 1",
        (place, answer),
    )
    return _numbered(rows)[0][1] if rows else None


def size(store: Store, place: str) -> int:
    """Return how many texts of a partition the server searches."""
    rows = store.read("SELECT COUNT(*) FROM cache_neighbour WHERE place = ?", (place,))
    return int(rows[0][0])


def is_indexed(store: Store, place: str) -> bool:
    """Tell whether a partition's index is built and in use."""
    return _validity(store.read(_VALID, (_index(place),))) is True


def build_index(store: Store, place: str, dim: int) -> bool:
    """Build a partition's index, which may take minutes; others read and write meanwhile.

    Returns:
        Whether it is there; False while another kernel builds it.

    Raises:
        StoreError: It could not be built.
    """
    assert isinstance(store, PostgresStore)
    name = _index(place)
    lock = int.from_bytes(bytes.fromhex(name[-14:]), "big")
    with store.alone() as tx:
        if not tx.rows("SELECT pg_try_advisory_lock(?)", (lock,))[0][0]:
            return False
        valid = _validity(tx.rows(_VALID, (name,)))
        if valid:
            return True
        if valid is False:  # whoever built it was interrupted
            tx.run(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        tx.rows("SELECT set_config('maintenance_work_mem', ?, false)", (_WORK_MEMORY,))
        tx.run(
            f"CREATE INDEX CONCURRENTLY {name} ON cache_neighbour USING hnsw "
            f"((embedding::vector({int(dim)})) vector_cosine_ops) WHERE place = '{_hex(place)}'"
        )
        tx.run("ANALYZE cache_neighbour")
    return True


_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(?)"


def _validity(rows: list[tuple[object, ...]]) -> bool | None:
    return bool(rows[0][0]) if rows else None


def _index(place: str) -> str:
    return f"cache_neighbour_{blake2b(place.encode(), digest_size=7).hexdigest()}"


def _distance(dim: int) -> str:
    return f"embedding::vector({dim}) <=> ?::vector({dim})"


def _hex(place: str) -> str:
    """Return a place, if it is the digest that it should be (raises `StoreError`)."""
    if not _HEX.fullmatch(place):
        raise StoreError("A partition of the cache has a name that is no digest", detail=place)
    return place


def _text(vector: Sequence[float]) -> str:
    return str([*vector])


def _numbered(rows: list[tuple[object, ...]]) -> Numbered:
    found = [(int(row[0]), VectorRow(*row[1:])) for row in rows]  # type: ignore[call-overload, arg-type]
    return [(number, row._replace(vector=bytes(row.vector))) for number, row in found]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
