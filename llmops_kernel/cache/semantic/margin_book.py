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
from llmops_kernel.cache.semantic.partition import MOST, Partition
from llmops_kernel.cache.semantic.watch import BROKEN
from llmops_kernel.store import hit_rows, margin_rows
from llmops_kernel.store.margin_rows import JudgedRow, TierRow, VectorRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from llmops_kernel.cache.seal import Seal
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Loaded:
    """What this process knows of a partition.

    Attributes:
        tier: Its evidence, and whether it serves.
        partition: Its texts; None while nobody needed them.
        skipped: Rows that were edited, damaged or of another version.
        too_large: Whether it has more texts than are compared in memory.
    """

    row: TierRow
    tier: MarginTier
    judged_to: int = 0
    partition: Partition | None = None
    vectors_to: int = 0
    skipped: int = 0
    too_large: bool = False


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

    def catch_up(self, loaded: Loaded, *, dim: int, evidence: bool = False) -> Partition:
        """Read what was added to a partition since, and return its texts.

        Args:
            loaded: What is known of the partition; it is brought up to date.
            dim: Numbers of a vector.
            evidence: Read judged lookups too.
        """
        place = loaded.row.place
        if loaded.partition is None:
            loaded.partition = Partition(dim)
            loaded.vectors_to = 0
            with self._store.transaction() as tx:
                margin_rows.expire(tx, place, self._now())
        rows = margin_rows.vectors(
            self._store, place, loaded.vectors_to, self._now(), MOST + 1 - len(loaded.partition)
        )
        for number, row in rows:
            loaded.vectors_to = number
            if row.entry_key not in loaded.partition:
                loaded.skipped += not self._take(loaded.partition, row)
        loaded.too_large = len(loaded.partition) > MOST
        if evidence:
            self._learned(loaded, margin_rows.judged(self._store, place, loaded.judged_to))
        return loaded.partition

    def _take(self, partition: Partition, row: VectorRow) -> bool:
        if self._seal(row) != row.mac:
            return False
        try:
            vector = np.frombuffer(row.vector, "<f4").astype(np.float32)
            partition.add(
                row.entry_key,
                vector,
                group=row.group_id,
                answer=row.answer,
                gate=Gate.read(row.gate),
            )
        except ValueError:
            return False
        return True

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
