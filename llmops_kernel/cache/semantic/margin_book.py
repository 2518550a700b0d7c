"""The margin tier's partitions in the record: sealed vectors, judged lookups, and their state.

Whoever edits the record can hide a text or a verdict. A vector, an answer group or a gate that was
edited or moved fits no seal any more and is left out, and what a partition serves is opened under
its own seal again, which names tenant and partition.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.cache.near import MARGIN
from llmops_kernel.cache.semantic.evidence import Evidence
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin import MarginTier
from llmops_kernel.cache.semantic.partition import Partition
from llmops_kernel.cache.semantic.server_partition import ServerPartition
from llmops_kernel.cache.semantic.watch import BROKEN
from llmops_kernel.store import hit_rows, margin_rows, neighbour_rows
from llmops_kernel.store.margin_rows import JudgedRow, TierRow, VectorRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from llmops_kernel.cache.seal import Seal
    from llmops_kernel.cache.semantic.neighbours import Texts
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)
_MOVING = "its texts are on their way to the record's server"


@dataclass(slots=True)
class Loaded:
    """What this process knows of a partition.

    Attributes:
        tier: Its evidence, and whether it serves.
        partition: Its texts, in memory or on the record's server; None while nobody needed them.
        skipped: Rows that were edited, damaged or of another version.
        refused: Why its texts cannot be compared; "" where they can.
    """

    row: TierRow
    tier: MarginTier
    judged_to: int = 0
    partition: Partition | ServerPartition | None = None
    vectors_to: int = 0
    skipped: int = 0
    refused: str = ""

    @property
    def moving(self) -> bool:
        """Whether its texts are on their way to the record's server."""
        return isinstance(self.partition, ServerPartition) and self.partition.moving

    @property
    def why_not(self) -> str:
        """Why nothing of it may be served now, whatever its evidence; "" where it may."""
        return _MOVING if self.moving else self.refused


class MarginBook:
    """Reads and writes partitions.

    Args:
        store: The record.
        settings: Returns the settings in force.
        sealer: Returns what makes seals.
        now: Returns microseconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        settings: Callable[[], CacheSettings],
        sealer: Callable[[], Seal],
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._settings = settings
        self._sealer = sealer
        self._now = now

    # ---- reading ------------------------------------------------------------------------------

    def open(self, tenant: str, place: str) -> Loaded:
        """Return the evidence of a partition; its texts are read when they are needed."""
        row = margin_rows.tier(self._store, tenant, MARGIN, place)
        loaded = Loaded(row, new_tier(self._settings()))
        self._learned(loaded, margin_rows.judged(self._store, place, 0))
        loaded.tier.restore(
            audits_of(hit_rows.counts(self._store, tenant), place), broken=row.state == BROKEN
        )
        return loaded

    def is_current(self, loaded: Loaded) -> bool:
        """Tell whether nobody has changed what a partition was read from.

        What was added since is no change: see `catch_up`.
        """
        old = loaded.row
        row = margin_rows.tier(self._store, old.tenant, MARGIN, old.place)
        return (row.revision, row.state, row.since) == (old.revision, old.state, old.since)

    def catch_up(self, loaded: Loaded, *, dim: int, evidence: bool = False) -> Texts:
        """Read what was added to a partition since, and return its texts.

        Args:
            loaded: What is known of the partition; it is brought up to date.
            dim: Numbers of a vector.
            evidence: Read judged lookups too.
        """
        place, most = loaded.row.place, self._settings().numpy_entries
        if loaded.partition is None:
            loaded.vectors_to, loaded.refused = 0, ""
            with self._store.transaction() as tx:
                margin_rows.expire(tx, place, self._now())
            if margin_rows.more_than(self._store, place, self._now(), most):
                self._outgrown(loaded, dim, most)
            else:
                loaded.partition = Partition(dim, most)
        if isinstance(loaded.partition, Partition) and not loaded.refused:
            self._read(loaded, loaded.partition, most)
            if len(loaded.partition) > most:
                self._outgrown(loaded, dim, most)
        if isinstance(loaded.partition, ServerPartition):
            loaded.partition.step()
        if evidence:
            self._learned(loaded, margin_rows.judged(self._store, place, loaded.judged_to))
        assert loaded.partition is not None
        return loaded.partition

    def _outgrown(self, loaded: Loaded, dim: int, most: int) -> None:
        """Leave a partition's texts to the record's server, if it can compare them."""
        why = neighbour_rows.prepare(self._store, dim)
        if why:
            loaded.refused = f"its partition has more than {most:,} texts, and {why}"
            loaded.partition = Partition(dim, 0)
            return
        place = loaded.row.place
        loaded.partition = ServerPartition(self._store, place, dim, self._opener(dim), self._now)

    def _read(self, loaded: Loaded, partition: Partition, most: int) -> None:
        opener = self._opener(partition.dim)
        rows = margin_rows.vectors(
            self._store, loaded.row.place, loaded.vectors_to, self._now(),
            most + 1 - len(partition),
        )  # fmt: skip
        for number, row in rows:
            loaded.vectors_to = number
            if row.entry_key in partition:
                continue
            found = opener(row)
            if found is None:
                loaded.skipped += 1
            else:
                partition.add(
                    row.entry_key, found[0], group=row.group_id, answer=row.answer, gate=found[1]
                )

    def _opener(self, dim: int) -> Callable[[VectorRow], tuple[NDArray[np.float32], Gate] | None]:
        """Return what gives vector and gate of a row that fits its seal; None of others."""

        def opened(row: VectorRow) -> tuple[NDArray[np.float32], Gate] | None:
            if self._seal(row) != row.mac:
                return None
            try:
                vector = np.frombuffer(row.vector, "<f4").astype(np.float32)
                gate = Gate.read(row.gate)
            except ValueError:
                return None
            return (vector, gate) if vector.shape == (dim,) and np.isfinite(vector).all() else None

        return opened

    def _learned(self, loaded: Loaded, rows: Iterable[tuple[int, JudgedRow]]) -> None:
        for number, row in rows:
            loaded.judged_to = number
            if counts(row, self._settings()):
                loaded.tier.learn(row.score, bool(row.verdict))
        _ = loaded.tier.threshold  # found now, and not when a call waits for it

    # ---- writing ------------------------------------------------------------------------------

    def keep(self, row: VectorRow, vector: NDArray[np.float32]) -> VectorRow:
        """Write a text's vector down; return the row as it is kept."""
        row = row._replace(vector=vector.astype("<f4").tobytes())
        row = row._replace(mac=self._seal(row))
        with self._store.transaction() as tx:
            known = TierRow(row.tenant, MARGIN, row.place, row.model, changed=self._now())
            margin_rows.know(tx, known)
            margin_rows.put(tx, row)
        return row

    def learn(self, loaded: Loaded, row: JudgedRow) -> None:
        """Write a judged lookup down; it counts from the next `catch_up` on."""
        with self._store.transaction() as tx:
            margin_rows.learn(tx, row)
        self._learned(loaded, margin_rows.judged(self._store, row.place, loaded.judged_to))

    def merge(self, loaded: Loaded, into: str, gone: str) -> None:
        """Make two answer groups one, for every kernel."""
        place, tenant = loaded.row.place, loaded.row.tenant
        with self._store.transaction() as tx:
            for row in margin_rows.group(tx, place, gone):
                if self._seal(row) == row.mac:
                    moved = row._replace(group_id=into)
                    margin_rows.put(tx, moved._replace(mac=self._seal(moved)))
            margin_rows.revise(tx, tenant, place)
            now = margin_rows.tier(tx, tenant, MARGIN, place)
        old = loaded.row
        alone = (now.state, now.since, now.revision) == (old.state, old.since, old.revision + 1)
        if loaded.partition is not None and alone:
            # Nobody else changed anything meanwhile: there is no need to read it all again.
            loaded.partition.merge(into, gone)
            loaded.row = now

    def drop(self, place: str, key: str) -> None:
        """Remove the vector of an answer that is gone."""
        with self._store.transaction() as tx:
            margin_rows.drop(tx, place, key)

    def _seal(self, row: VectorRow) -> str:
        said = json.dumps(row._replace(vector=b"", mac="")[:-3])
        body = blake2b(row.vector, digest_size=24).hexdigest()
        return self._sealer().key(f"vector\x1f{said}\x1f{row.expires}\x1f{body}")


def new_tier(settings: CacheSettings) -> MarginTier:
    """Return a tier without evidence, with the bounds that are set."""
    return MarginTier(
        target=settings.target,
        min_judged=settings.min_judged,
        min_wordings=settings.min_wordings,
        audit_share=settings.audit_share,
    )


def counts(row: JudgedRow, settings: CacheSettings) -> bool:
    """Tell whether a judged lookup is one that could have been served, its score apart."""
    return row.lead > 0 and row.wordings >= settings.min_wordings


def audits_of(found: Iterable[hit_rows.Count], place: str) -> Evidence:
    """Return the judged hits of the margin tier in a partition."""
    for each in found:
        if (each.tier, each.place) == (MARGIN, place):
            return Evidence(each.judged, each.wrong)
    return Evidence()
