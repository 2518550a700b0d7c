"""The cache's statements: answers, requests on their way, and what was served.

Functions take an open transaction or the store, and say nothing about policy; `cache` decides.
A transaction that changes other rows too changes them first: entries come last, one or in the
order of their keys, so that two transactions never wait for each other.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from llmops_kernel.store import near_rows
from llmops_kernel.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.store.base import Store, Tx
    from llmops_kernel.store.near_rows import NearRow

# Values one statement may bind; SQLite's own limit is higher.
_BATCH = 500


class EntryRow(NamedTuple):
    """One sealed answer; ``tags`` is a JSON list, ``payload`` JSON, times are microseconds."""

    entry_key: str
    tenant: str
    model: str
    notebook: str
    book: str
    tags: str
    created: int
    expires: int
    saved_nano: int
    mac: str
    payload: str

    @property
    def size(self) -> int:
        """Bytes it takes, about."""
        return sum(len(part) for part in self if isinstance(part, str)) + 64


class FlightRow(NamedTuple):
    """A request on its way, and who waits for its answer."""

    claim_id: str
    owner: Lease
    expires: int


class EventRow(NamedTuple):
    """What the cache did; ``saved_nano`` is what the call would have cost."""

    at: int
    kind: str
    tier: str = ""
    entry_key: str = ""
    tenant: str = ""
    model: str = ""
    book: str = ""
    user_name: str = ""
    notebook: str = ""
    run_id: str = ""
    call_id: str = ""
    times: int = 1
    saved_nano: int = 0


APPEND = (
    f"INSERT INTO cache_event ({', '.join(EventRow._fields)}) "
    f"VALUES ({', '.join('?' for _ in EventRow._fields)})"
)
_HEAD = EntryRow._fields[:-1]
_GET = (
    f"SELECT {', '.join(f'e.{name}' for name in _HEAD)}, payload, used FROM cache_entry AS e "
    "JOIN cache_body AS b ON b.entry_key = e.entry_key WHERE e.entry_key = ? AND expires > ?"
)
_PUT = (
    f"INSERT INTO cache_entry ({', '.join(_HEAD)}, used, bytes) "
    f"VALUES ({', '.join('?' for _ in _HEAD)}, ?, ?) ON CONFLICT (entry_key) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_HEAD[1:], "used", "bytes"))
)


def get(source: Tx | Store, key: str, at: int) -> tuple[EntryRow, int] | None:
    """Return an answer that has not expired, and when it was last used."""
    values = (key, at)
    rows = source.rows(_GET, values) if hasattr(source, "rows") else source.read(_GET, values)
    return (EntryRow(*rows[0][:-1]), rows[0][-1]) if rows else None


def touch(tx: Tx, key: str, at: int) -> None:
    """Note that an answer was used."""
    tx.run("UPDATE cache_entry SET used = ? WHERE entry_key = ?", (at, key))


def put(tx: Tx, row: EntryRow, at: int, near: NearRow | None = None) -> None:
    """Insert an answer, or replace it; ``near`` says where questions near its own find it."""
    tx.run(_PUT, (*row[:-1], at, row.size))
    tx.run(
        "INSERT INTO cache_body (entry_key, payload) VALUES (?, ?) "
        "ON CONFLICT (entry_key) DO UPDATE SET payload = excluded.payload",
        (row.entry_key, row.payload),
    )
    tx.run("DELETE FROM cache_tag WHERE entry_key = ?", (row.entry_key,))
    for tag in json.loads(row.tags):
        tx.run("INSERT INTO cache_tag (tag, entry_key) VALUES (?, ?)", (tag, row.entry_key))
    near_rows.put(tx, row.entry_key, near, at)


def remove(tx: Tx, keys: Iterable[str]) -> int:
    """Remove answers; return how many there were."""
    removed = 0
    ordered = sorted(keys)
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        places = ", ".join("?" for _ in some)
        removed += tx.run(f"DELETE FROM cache_entry WHERE entry_key IN ({places})", some)
        for table in ("cache_body", "cache_tag", "cache_near", "cache_vector"):
            tx.run(f"DELETE FROM {table} WHERE entry_key IN ({places})", some)
    return removed


def remove_sealed(tx: Tx, row: EntryRow) -> bool:
    """Remove an answer unless it has been replaced meanwhile."""
    found = tx.rows(
        "SELECT 1 FROM cache_entry WHERE entry_key = ? AND mac = ?", (row.entry_key, row.mac)
    )
    return bool(found) and remove(tx, [row.entry_key]) > 0


def matching(**wanted: str | None) -> tuple[list[str], list[str]]:
    """Return the conditions of a WHERE, and their values, for columns that are not None."""
    given = {name: value for name, value in wanted.items() if value is not None}
    return [f"{name} = ?" for name in given], list(given.values())


def select(
    tx: Tx,
    *,
    tenant: str | None = None,
    tag: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
) -> list[str]:
    """Return the keys of the answers that have all the given values."""
    conditions, values = matching(tenant=tenant, model=model, notebook=notebook)
    if tag is not None:
        conditions.append("entry_key IN (SELECT entry_key FROM cache_tag WHERE tag = ?)")
        values.append(tag)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return [row[0] for row in tx.rows(f"SELECT entry_key FROM cache_entry{where}", values)]


def expired(tx: Tx, at: int) -> list[str]:
    """Return the keys of answers whose time is over."""
    rows = tx.rows("SELECT entry_key FROM cache_entry WHERE expires <= ?", (at,))
    return [row[0] for row in rows]


def by_use(tx: Tx, limit: int) -> list[tuple[str, int]]:
    """Return (key, bytes) of the answers not used for longest, those first."""
    rows = tx.rows(
        "SELECT entry_key, bytes FROM cache_entry ORDER BY used, entry_key LIMIT ?", (limit,)
    )
    return [(row[0], row[1]) for row in rows]


def measure(tx: Tx) -> tuple[int, int]:
    """Return how many answers there are, and their bytes."""
    rows = tx.rows("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM cache_entry")
    return int(rows[0][0]), int(rows[0][1])


def flight(tx: Tx, key: str) -> FlightRow | None:
    """Return who waits for the answer to a request."""
    rows = tx.rows(
        "SELECT claim_id, lease_id, machine, boot, pid, pid_start, expires FROM cache_flight "
        "WHERE entry_key = ?",
        (key,),
    )
    if not rows:
        return None
    claim_id, *owner, expires = rows[0]
    return FlightRow(claim_id, Lease(*owner), expires)


def claim(tx: Tx, key: str, row: FlightRow) -> bool:
    """Say that a request is on its way; False when somebody else has said so."""
    lease = row.owner
    return (
        tx.run(
            "INSERT INTO cache_flight (entry_key, claim_id, lease_id, machine, boot, pid, "
            "pid_start, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (entry_key) DO NOTHING",
            (
                key,
                row.claim_id,
                lease.lease_id,
                lease.machine,
                lease.boot,
                lease.pid,
                lease.pid_start,
                row.expires,
            ),
        )
        == 1
    )


def release(tx: Tx, key: str, claim_id: str) -> None:
    """Say that a request is no longer on its way."""
    tx.run("DELETE FROM cache_flight WHERE entry_key = ? AND claim_id = ?", (key, claim_id))


def release_all(tx: Tx, lease_id: str) -> None:
    """Release every request of a process."""
    tx.run("DELETE FROM cache_flight WHERE lease_id = ?", (lease_id,))


def totals(store: Store, tenant: str | None, since: int) -> list[tuple[str, str, str, int, int]]:
    """Return (kind, tier, book, count, saved nano-dollars), added up."""
    values: Sequence[object] = (since,)
    where = "at >= ?"
    if tenant is not None:
        where, values = "at >= ? AND tenant = ?", (since, tenant)
    rows = store.read(
        "SELECT kind, tier, book, SUM(times), SUM(saved_nano) FROM cache_event "
        f"WHERE {where} GROUP BY kind, tier, book",
        values,
    )
    return [(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in rows]
