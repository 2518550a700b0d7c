"""The cached texts of one partition on a PostgreSQL server, which compares them by pgvector.

The server only says which texts may be the nearest. Each of them is then read from the record,
held against its seal, and compared once more from its sealed vector: a copy that was edited can
hide a text, as in memory, and never lend one another's nearness or group.

Where a query stands needs three things: its nearest texts, the nearest text of *another* group, and
how many wordings the first group has. The second is asked for by itself, because a group may well
have more wordings than any list of nearest texts is long. While the index is not built yet, and
where it finds no rival, everything is compared. An index scan is approximate: a rival that it
misses makes a lead look larger than it is, as one does that was never cached; what the threshold
was proven with and what is audited was found in the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.cache.semantic.margin import NEIGHBOURS, standing
from llmops_kernel.cache.semantic.neighbours import NOBODY, SHOWN, Nearest, Neighbour
from llmops_kernel.store import margin_rows, neighbour_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from llmops_kernel.cache.semantic.gates import Gate
    from llmops_kernel.store import Store
    from llmops_kernel.store.margin_rows import VectorRow

    Opened = tuple[NDArray[np.float32], Gate]

STEP = 200
"""Texts that are copied at once: what another partition's call may have to wait for."""

_RIVALS = 3  # so that one whose row was edited is not missed


class ServerPartition:
    """Texts of one partition, compared by the record's server.

    Args:
        store: The record; `neighbour_rows.prepare` was asked before.
        place: The partition.
        dim: Numbers of a vector.
        opened: Returns vector and gate of a row that fits its seal; None for others.
        now: Returns microseconds since the epoch.

    Attributes:
        moving: Whether there are texts that the server does not compare yet.
        skipped: Rows that were edited, damaged or of another version.
        exact: Whether the index is left aside, whatever that costs.
    """

    def __init__(
        self,
        store: Store,
        place: str,
        dim: int,
        opened: Callable[[VectorRow], Opened | None],
        now: Callable[[], int],
    ) -> None:
        self.place = place
        self.dim = dim
        self.moving = True
        self.skipped = 0
        self.exact = False
        self._store = store
        self._opened = opened
        self._now = now
        self._to = 0

    def __len__(self) -> int:
        return neighbour_rows.size(self._store, self.place)

    def step(self, most: int = STEP) -> None:
        """Let the server compare texts that were added, so many at most."""
        rows = neighbour_rows.missing(self._store, self.place, self._to, self._now(), most)
        sound = []
        for number, row in rows:
            self._to = number
            found = self._opened(row)
            if found is None:
                self.skipped += 1
            else:
                sound.append((number, _written(found[0])))
        if sound:
            with self._store.transaction() as tx:
                neighbour_rows.take_in(tx, sound)
        self.moving = len(rows) == most

    def build_index(self) -> None:
        """Build the index, which may take minutes, unless it is there or somebody else does."""
        neighbour_rows.build_index(self._store, self.place, self.dim)

    def nearest(self, vector: NDArray[np.float32]) -> Nearest:
        """Return how a query stands, and its neighbours.

        Args:
            vector: Shape (dim,), length 1.

        Raises:
            StoreError: The record cannot be used.
        """
        vector = np.asarray(vector, np.float32)
        query = _written(vector)
        at = self._now()
        with self._store.transaction() as tx:
            neighbour_rows.search(tx, exact=self.exact)
            near = neighbour_rows.nearest(tx, self.place, query, at, NEIGHBOURS)
            found = self._compared(near, vector)
            if not found:
                return NOBODY
            group = found[0].group
            rivals = neighbour_rows.nearest(tx, self.place, query, at, _RIVALS, apart_from=group)
            if not rivals and not self.exact:
                neighbour_rows.search(tx, exact=True)
                rivals = neighbour_rows.nearest(
                    tx, self.place, query, at, _RIVALS, apart_from=group
                )
            wordings = neighbour_rows.wordings(tx, self.place, group, at)
        found = self._compared([*near, *rivals], vector)
        numbers = {each: number for number, each in enumerate({one.group: 0 for one in found})}
        stands = standing(
            np.array([each.cosine for each in found], np.float32),
            np.array([numbers[each.group] for each in found], np.int64),
        )
        return Nearest(replace(stands, wordings=wordings), tuple(found[:SHOWN]))

    def _compared(
        self, rows: Iterable[tuple[int, VectorRow]], vector: NDArray[np.float32]
    ) -> list[Neighbour]:
        """Return the rows that are as they were sealed, the nearest first."""
        found = []
        for row in dict(rows).values():
            if (opened := self._opened(row)) is not None:
                cosine = float(opened[0] @ vector)
                found.append(Neighbour(row.entry_key, row.group_id, opened[1], opened[0], cosine))
        return sorted(found, key=lambda each: -each.cosine)

    def group_of(self, answer: str) -> str | None:
        """Return the group that an answer belongs to; None if nobody was given it."""
        row = neighbour_rows.of_answer(self._store, self.place, answer)
        return None if row is None or self._opened(row) is None else row.group_id

    def add(
        self, key: str, vector: NDArray[np.float32], *, group: str, answer: str, gate: Gate
    ) -> None:
        """Do nothing: what was written down is there with the next `step`."""

    def remove(self, key: str) -> None:
        """Remove a text from the record, and with it from here."""
        with self._store.transaction() as tx:
            margin_rows.drop(tx, self.place, key)

    def merge(self, one: str, other: str) -> None:
        """Do nothing: rows that were written anew are there with the next `step`."""


def _written(vector: NDArray[np.float32]) -> list[float]:
    """Return a unit vector's numbers, as short as single precision allows: they travel as text."""
    written: list[float] = vector.astype(np.float64).round(8).tolist()
    return written
