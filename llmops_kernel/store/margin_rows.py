"""The cache's statements about the margin tier: vectors, judged lookups, states of tiers, spending.

A row of `cache_vector` is sealed by whoever writes it; this module only keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llmops_kernel.store.cache_rows import matching

if TYPE_CHECKING:
    from llmops_kernel.store.base import Store, Tx

# Judged lookups of a partition that count; older ones speak of another cache.
KEPT = 10_000


class VectorRow(NamedTuple):
    """One cached text among the others of its partition.

    Attributes:
        group_id: Texts whose answers say the same share it.
        answer: Keyed digest of its own answer.
        gate: What of the text must agree with a query, as JSON.
        vector: float32, little-endian.
    """

    place: str
    entry_key: str
    tenant: str
    model: str
    notebook: str
    tags: str
    group_id: str
    answer: str
    gate: str
    vector: bytes
    expires: int
    mac: str = ""


class JudgedRow(NamedTuple):
    """Where a text stood that was answered afresh, and whether the nearest answer was right."""

    at: int
    place: str
    score: float
    lead: float
    best: float
    wordings: int
    verdict: int
    judged_by: str


class TierRow(NamedTuple):
    """The state of a tier in one place; ``state`` is "" or ``broken``."""

    tenant: str
    tier: str
    place: str
    model: str = ""
    state: str = ""
    revision: int = 0
    since: int = 0
    changed: int = 0


_VECTOR = ", ".join(VectorRow._fields)
_JUDGED = ", ".join(JudgedRow._fields)
_TIER = ", ".join(TierRow._fields)


def put(tx: Tx, row: VectorRow) -> None:
    """Insert a text's vector, in place of an earlier one."""
    tx.run("DELETE FROM cache_vector WHERE entry_key = ? AND place = ?", (row.entry_key, row.place))
    tx.run(f"INSERT INTO cache_vector ({_VECTOR}) VALUES ({', '.join('?' for _ in row)})", row)


def vectors(
    store: Store, place: str, after: int, at: int, limit: int
) -> list[tuple[int, VectorRow]]:
    """Return (number, row) of a partition that were written after a number, the newest of them."""
    rows = store.read(
        f"SELECT seq, {_VECTOR} FROM cache_vector WHERE place = ? AND seq > ? AND expires > ? "
        "ORDER BY seq DESC LIMIT ?",
        (place, after, at, limit),
    )
    found = [(int(row[0]), VectorRow(*row[1:])) for row in reversed(rows)]
    return [(seq, row._replace(vector=bytes(row.vector))) for seq, row in found]


def group(tx: Tx, place: str, group_id: str) -> list[VectorRow]:
    """Return the texts of an answer group."""
    rows = tx.rows(
        f"SELECT {_VECTOR} FROM cache_vector WHERE place = ? AND group_id = ? ORDER BY seq",
        (place, group_id),
    )
    return [VectorRow(*row)._replace(vector=bytes(row[9])) for row in rows]


def drop(tx: Tx, place: str, entry_key: str) -> None:
    """Remove the vector of an answer that is gone."""
    tx.run("DELETE FROM cache_vector WHERE entry_key = ? AND place = ?", (entry_key, place))


def expire(tx: Tx, place: str, at: int) -> None:
    """Remove the vectors of a partition whose answers have expired."""
    tx.run("DELETE FROM cache_vector WHERE place = ? AND expires <= ?", (place, at))


def more_than(store: Store, place: str, at: int, most: int) -> bool:
    """Tell whether a partition has more texts than so many."""
    rows = store.read(
        "SELECT COUNT(*) FROM (SELECT 1 FROM cache_vector WHERE place = ? AND expires > ? LIMIT ?) "
        "AS some_of_place",
        (place, at, most + 1),
    )
    return int(rows[0][0]) > most


def size(source: Tx | Store, place: str) -> tuple[int, int]:
    """Return how many texts a partition has, and how many answer groups."""
    sql = "SELECT COUNT(*), COUNT(DISTINCT group_id) FROM cache_vector WHERE place = ?"
    values = (place,)
    rows = source.rows(sql, values) if hasattr(source, "rows") else source.read(sql, values)
    return int(rows[0][0]), int(rows[0][1])


def mature(store: Store, place: str, wordings: int) -> int:
    """Return how many answer groups have at least so many texts."""
    rows = store.read(
        "SELECT COUNT(*) FROM (SELECT group_id FROM cache_vector WHERE place = ? "
        "GROUP BY group_id HAVING COUNT(*) >= ?) AS groups_of_place",
        (place, wordings),
    )
    return int(rows[0][0])


def learn(tx: Tx, row: JudgedRow) -> None:
    """Write a judged lookup down."""
    tx.run(f"INSERT INTO cache_judged ({_JUDGED}) VALUES ({', '.join('?' for _ in row)})", row)


def judged(source: Tx | Store, place: str, after: int) -> list[tuple[int, JudgedRow]]:
    """Return (number, row) of a partition's newest judged lookups after a number, oldest first."""
    sql = (
        f"SELECT judged_id, {_JUDGED} FROM cache_judged WHERE place = ? AND judged_id > ? "
        "ORDER BY judged_id DESC LIMIT ?"
    )
    values = (place, after, KEPT)
    rows = source.rows(sql, values) if hasattr(source, "rows") else source.read(sql, values)
    return [(int(row[0]), JudgedRow(*row[1:])) for row in reversed(rows)]


def tier(source: Tx | Store, tenant: str, name: str, place: str) -> TierRow:
    """Return the state of a tier; a new one's where nothing was written."""
    sql = f"SELECT {_TIER} FROM cache_tier WHERE tenant = ? AND tier = ? AND place = ?"
    values = (tenant, name, place)
    rows = source.rows(sql, values) if hasattr(source, "rows") else source.read(sql, values)
    return TierRow(*rows[0]) if rows else TierRow(tenant, name, place)


def tiers(store: Store, tenant: str) -> list[TierRow]:
    """Return the states of all tiers of a tenant."""
    rows = store.read(
        f"SELECT {_TIER} FROM cache_tier WHERE tenant = ? ORDER BY tier, model, place", (tenant,)
    )
    return [TierRow(*row) for row in rows]


def know(tx: Tx, row: TierRow) -> None:
    """Write the state of a tier that has none yet."""
    tx.run(
        f"INSERT INTO cache_tier ({_TIER}) VALUES ({', '.join('?' for _ in row)}) "
        "ON CONFLICT (tenant, tier, place) DO NOTHING",
        row,
    )


def break_tier(tx: Tx, row: TierRow, state: str) -> bool:
    """Switch a tier off for every kernel; False when it is off already."""
    know(tx, row._replace(state=""))
    done = tx.run(
        "UPDATE cache_tier SET state = ?, changed = ?, revision = revision + 1 "
        "WHERE tenant = ? AND tier = ? AND place = ? AND state <> ?",
        (state, row.changed, row.tenant, row.tier, row.place, state),
    )
    return done == 1


def mend_tier(tx: Tx, row: TierRow, state: str) -> bool:
    """Take back that a tier was switched off; what was counted stays. False when it is not off."""
    done = tx.run(
        "UPDATE cache_tier SET state = '', changed = ?, revision = revision + 1 "
        "WHERE tenant = ? AND tier = ? AND place = ? AND state = ?",
        (row.changed, row.tenant, row.tier, row.place, state),
    )
    return done == 1


def restart(tx: Tx, row: TierRow, at: int) -> bool:
    """Switch a tier on again, counting from now; False when nothing is known of it."""
    done = tx.run(
        "UPDATE cache_tier SET state = '', since = ?, changed = ?, revision = revision + 1 "
        "WHERE tenant = ? AND tier = ? AND place = ?",
        (at, at, row.tenant, row.tier, row.place),
    )
    return done == 1


def revise(tx: Tx, tenant: str | None = None, place: str | None = None) -> None:
    """Make every kernel read partitions anew: one, a tenant's, or all."""
    conditions, values = matching(tenant=tenant, place=place)
    where = " AND ".join(["1 = 1", *conditions])
    tx.run(f"UPDATE cache_tier SET revision = revision + 1 WHERE {where}", values)


def unlearn(tx: Tx, place: str) -> None:
    """Forget the judged lookups of a partition."""
    tx.run("DELETE FROM cache_judged WHERE place = ?", (place,))


def spend(tx: Tx, tenant: str, day: int, nano: int, cap: int) -> bool:
    """Take nano-dollars from a day's cap; False, and nothing is taken, where it would be passed."""
    tx.run(
        "INSERT INTO cache_spend (day, tenant, nano) VALUES (?, ?, 0) "
        "ON CONFLICT (day, tenant) DO NOTHING",
        (day, tenant),
    )
    done = tx.run(
        "UPDATE cache_spend SET nano = nano + ? WHERE day = ? AND tenant = ? AND nano + ? <= ?",
        (nano, day, tenant, nano, cap),
    )
    return done == 1


def give_back(tx: Tx, tenant: str, day: int, nano: int) -> None:
    """Give back what was taken and not spent."""
    tx.run(
        "UPDATE cache_spend SET nano = nano - ? WHERE day = ? AND tenant = ?", (nano, day, tenant)
    )


def spent(store: Store, tenant: str, day: int) -> int:
    """Return the nano-dollars that were taken from a day's cap."""
    rows = store.read("SELECT nano FROM cache_spend WHERE day = ? AND tenant = ?", (day, tenant))
    return int(rows[0][0]) if rows else 0
