"""The cache's statements about what was served for another text, and what was judged of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from llmops_kernel.store.cache_rows import matching

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.store.base import Store, Tx

# Hits that stay to be judged; older ones go.
_KEPT = 10_000


class HitRow(NamedTuple):
    """One hit: the question that was answered once, and the one its answer was served for.

    Model, notebook and tags are those of the answer, so that it goes where the answer goes.

    Attributes:
        verdict: 1 if the answer was right, 0 if it was wrong, None while nobody has said.
        place: The tier's partition; "" where it has one state for a whole tenant.
        drawn: 1 if it was drawn for an audit.
        judged_by: ``person``, ``offline`` or a model's name; "" while nobody has judged it.
    """

    at: int
    call_id: str
    entry_key: str
    tenant: str
    model: str
    notebook: str
    tags: str
    stored: str
    asked: str
    reason: str
    tier: str
    place: str = ""
    drawn: int = 0
    verdict: int | None = None
    judged_by: str = ""


class Count(NamedTuple):
    """Hits of one tier in one place: how many there are, were judged, were wrong, were drawn."""

    tier: str
    place: str
    hits: int
    judged: int
    wrong: int
    waiting: int


APPEND = (
    f"INSERT INTO cache_hit ({', '.join(HitRow._fields)}) "
    f"VALUES ({', '.join('?' for _ in HitRow._fields)})"
)
TRIM = f"DELETE FROM cache_hit WHERE hit_id <= (SELECT MAX(hit_id) FROM cache_hit) - {_KEPT}"


def hits(store: Store, tenant: str, limit: int | None = None) -> list[tuple[int, HitRow]]:
    """Return (id, hit) of a tenant: those drawn and not judged first, then the newest."""
    bound: Sequence[object] = () if limit is None else (limit,)
    rows = store.read(
        f"SELECT hit_id, {', '.join(HitRow._fields)} FROM cache_hit WHERE tenant = ? "
        "ORDER BY CASE WHEN drawn = 1 AND verdict IS NULL THEN 0 ELSE 1 END, hit_id DESC"
        f"{'' if limit is None else ' LIMIT ?'}",
        (tenant, *bound),
    )
    return [(int(row[0]), HitRow(*row[1:])) for row in rows]


def hit(source: Tx, tenant: str, hit_id: int) -> HitRow | None:
    """Return one hit."""
    rows = source.rows(
        f"SELECT {', '.join(HitRow._fields)} FROM cache_hit WHERE tenant = ? AND hit_id = ?",
        (tenant, hit_id),
    )
    return HitRow(*rows[0]) if rows else None


def of_call(source: Tx, tenant: str, call_id: str) -> int | None:
    """Return the id of the hit that answered a call."""
    rows = source.rows(
        "SELECT MAX(hit_id) FROM cache_hit WHERE tenant = ? AND call_id = ?", (tenant, call_id)
    )
    return None if rows[0][0] is None else int(rows[0][0])


def counts(source: Tx | Store, tenant: str) -> list[Count]:
    """Return the counts of every tier and place of a tenant since its counting began."""
    sql = (
        "SELECT h.tier, h.place, COUNT(*), COUNT(h.verdict), COALESCE(SUM(1 - h.verdict), 0), "
        "SUM(CASE WHEN h.drawn = 1 AND h.verdict IS NULL THEN 1 ELSE 0 END) FROM cache_hit AS h "
        "LEFT JOIN cache_tier AS t ON t.tenant = h.tenant AND t.tier = h.tier "
        "AND t.place = h.place WHERE h.tenant = ? AND h.at >= COALESCE(t.since, 0) "
        "GROUP BY h.tier, h.place ORDER BY h.tier, h.place"
    )
    values = (tenant,)
    rows = source.rows(sql, values) if hasattr(source, "rows") else source.read(sql, values)
    return [Count(row[0], row[1], *(int(each) for each in row[2:])) for row in rows]


def judge(tx: Tx, tenant: str, hit_id: int, verdict: int, judged_by: str) -> bool:
    """Write down whether a hit was right (1) or wrong (0); False when there is none."""
    done = tx.run(
        "UPDATE cache_hit SET verdict = ?, judged_by = ? WHERE tenant = ? AND hit_id = ?",
        (verdict, judged_by, tenant, hit_id),
    )
    return done == 1


def forget(
    tx: Tx,
    *,
    tenant: str | None = None,
    tag: str | None = None,
    model: str | None = None,
    notebook: str | None = None,
) -> None:
    """Remove the texts and vectors of answers that have all the given values."""
    conditions, values = matching(tenant=tenant, model=model, notebook=notebook)
    where = " AND ".join(["1 = 1", *conditions])
    for table, number in (("cache_hit", "hit_id"), ("cache_vector", "seq")):
        if tag is None:
            tx.run(f"DELETE FROM {table} WHERE {where}", values)
            continue
        for found, tags in tx.rows(f"SELECT {number}, tags FROM {table} WHERE {where}", values):
            if tag in json.loads(tags):
                tx.run(f"DELETE FROM {table} WHERE {number} = ?", (found,))
