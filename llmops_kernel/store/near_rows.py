"""The cache's statements about where questions near each other find their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llmops_kernel.store.base import Store, Tx


class NearRow(NamedTuple):
    """Where an answer is found by questions near its own.

    Attributes:
        place: Keyed digest of everything of the request but its question, tenant included.
        signs: Keyed digests of the question's forms, the whole canonical one first.
    """

    place: str
    signs: tuple[str, ...]


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


def keys(source: Tx | Store, near: NearRow, limit: int) -> list[str]:
    """Return keys of answers to near questions: the same form first, then the newest.

    Without signs, of every question in the place.
    """
    read = source.rows if hasattr(source, "rows") else source.read
    if not near.signs:
        rows = read(
            "SELECT entry_key, MAX(created) AS newest FROM cache_near WHERE place = ? "
            "GROUP BY entry_key ORDER BY newest DESC, entry_key LIMIT ?",
            (near.place, limit),
        )
        return [row[0] for row in rows]
    marks = ", ".join("?" for _ in near.signs)
    rows = read(
        "SELECT entry_key, MIN(CASE WHEN sign = ? THEN 0 ELSE 1 END) AS far, "
        "MAX(created) AS newest FROM cache_near "
        f"WHERE place = ? AND sign IN ({marks}) "
        "GROUP BY entry_key ORDER BY far, newest DESC, entry_key LIMIT ?",
        (near.signs[0], near.place, *near.signs, limit),
    )
    return [row[0] for row in rows]
