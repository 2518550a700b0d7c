"""The cache's statements about questions that are near each other, and what was served for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.store.base import Store, Tx

# Hits that stay to be judged; older ones go.
_KEPT = 10_000


class NearRow(NamedTuple):
    """Where an answer is found by questions near its own.

    Attributes:
        place: Keyed digest of everything of the request but its question, tenant included.
        signs: Keyed digests of the question's forms, the whole canonical one first.
    """

    place: str
    signs: tuple[str, ...]


class TwinRow(NamedTuple):
    """One near-verbatim hit: the question that was answered once, and the one it was served for.

    Model, notebook and tags are those of the answer, so that it goes where the answer goes.
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
    verdict: int | None = None


APPEND = (
    f"INSERT INTO cache_twin ({', '.join(TwinRow._fields)}) "
    f"VALUES ({', '.join('?' for _ in TwinRow._fields)})"
)
TRIM = f"DELETE FROM cache_twin WHERE twin_id <= (SELECT MAX(twin_id) FROM cache_twin) - {_KEPT}"


def put(tx: Tx, key: str, near: NearRow | None, at: int) -> None:
    """Say where an answer is found; what was said before does not hold any more."""
    tx.run("DELETE FROM cache_near WHERE entry_key = ?", (key,))
    if near is None:
        return
    for sign in dict.fromkeys(near.signs):
        tx.run(
            "INSERT INTO cache_near (place, sign, entry_key, created) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (place, sign, entry_key) DO NOTHING",
            (near.place, sign, key, at),
        )


def keys(tx: Tx, near: NearRow, limit: int) -> list[str]:
    """Return keys of answers to near questions: the same form first, then the newest.

    Without signs, of every question in the place.
    """
    if not near.signs:
        rows = tx.rows(
            "SELECT entry_key, MAX(created) AS newest FROM cache_near WHERE place = ? "
            "GROUP BY entry_key ORDER BY newest DESC, entry_key LIMIT ?",
            (near.place, limit),
        )
        return [row[0] for row in rows]
    marks = ", ".join("?" for _ in near.signs)
    rows = tx.rows(
        "SELECT entry_key, MIN(CASE WHEN sign = ? THEN 0 ELSE 1 END) AS far, "
        "MAX(created) AS newest FROM cache_near "
        f"WHERE place = ? AND sign IN ({marks}) "
        "GROUP BY entry_key ORDER BY far, newest DESC, entry_key LIMIT ?",
        (near.signs[0], near.place, *near.signs, limit),
    )
    return [row[0] for row in rows]


def twins(store: Store, tenant: str, limit: int | None = None) -> list[tuple[int, TwinRow]]:
    """Return (id, hit) of a tenant, newest first."""
    bound: Sequence[object] = () if limit is None else (limit,)
    rows = store.read(
        f"SELECT twin_id, {', '.join(TwinRow._fields)} FROM cache_twin WHERE tenant = ? "
        f"ORDER BY twin_id DESC{'' if limit is None else ' LIMIT ?'}",
        (tenant, *bound),
    )
    return [(int(row[0]), TwinRow(*row[1:])) for row in rows]


def verdicts(store: Store, tenant: str) -> tuple[int, int, int]:
    """Return how many hits of a tenant there are, how many were judged, and how many are wrong."""
    rows = store.read(
        "SELECT COUNT(*), COUNT(verdict), COALESCE(SUM(1 - verdict), 0) FROM cache_twin "
        "WHERE tenant = ?",
        (tenant,),
    )
    return int(rows[0][0]), int(rows[0][1]), int(rows[0][2])


def judge(tx: Tx, tenant: str, twin_id: int, verdict: int) -> bool:
    """Write down whether a hit was right (1) or wrong (0); False when there is none."""
    done = tx.run(
        "UPDATE cache_twin SET verdict = ? WHERE tenant = ? AND twin_id = ?",
        (verdict, tenant, twin_id),
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
    """Remove the texts of hits whose answer has all the given values."""
    conditions, values = ["1 = 1"], []
    for name, value in (("tenant", tenant), ("model", model), ("notebook", notebook)):
        if value is not None:
            conditions.append(f"{name} = ?")
            values.append(value)
    if tag is None:
        tx.run(f"DELETE FROM cache_twin WHERE {' AND '.join(conditions)}", values)
        return
    rows = tx.rows(f"SELECT twin_id, tags FROM cache_twin WHERE {' AND '.join(conditions)}", values)
    for twin_id, tags in rows:
        if tag in json.loads(tags):
            tx.run("DELETE FROM cache_twin WHERE twin_id = ?", (twin_id,))
