"""Answers in the record, beside the ledger."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmops_kernel.cache.backend import CacheDown, Limits, Selection
from llmops_kernel.errors import StoreError
from llmops_kernel.store import cache_rows, near_rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from llmops_kernel.store import Store, Tx
    from llmops_kernel.store.cache_rows import EntryRow, EventRow, FlightRow
    from llmops_kernel.store.near_rows import NearRow

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_SECOND = 1_000_000
# Other processes keep answers too: after so many of our own, all are measured again.
_MEASURE_EVERY = 256
_EVICT_AT_ONCE = 1_000
# An answer that waited through so many transactions that failed is not tried again.
_TRIES = 8


class RecordBackend:
    """Answers in SQLite or PostgreSQL.

    Every method is one transaction of its own, apart from those called ``soon``, which ride on the
    next one where the record is this machine's own. What is used is noted once a second per
    answer, and the bounds hold within what the processes of a record keep between two
    measurements.

    Args:
        store: The record.
        lease_id: Who takes requests on.
        limits: How much is kept.
    """

    def __init__(self, store: Store, lease_id: str, limits: Limits) -> None:
        self._store = store
        self._lease_id = lease_id
        self._limits = limits
        self._lock = Lock()
        self._claimed = False
        self._entries = self._bytes = 0
        self._unmeasured = _MEASURE_EVERY  # nothing is known yet

    def arun(self, work: Callable[..., _T], *arguments: Any) -> Awaitable[_T]:
        """Run a method here where that is fast, else in a thread."""
        return self._store.arun(work, *arguments)

    def enter(self, key: str, claim: FlightRow, at: int) -> EntryRow | Literal["claimed", "held"]:
        """See `Backend.enter`."""
        with self._transaction() as tx:
            found = cache_rows.get(tx, key, at)
            if found is None:
                held = cache_rows.flight(tx, key)
                if held is not None:
                    if held.expires > at and not held.owner.is_dead():
                        return "held"
                    cache_rows.release(tx, key, held.claim_id)
                if not cache_rows.claim(tx, key, claim):
                    return "held"
                self._claimed = True
                # Whoever released it just now may have put the answer there first.
                found = cache_rows.get(tx, key, at)
                if found is None:
                    return "claimed"
                cache_rows.release(tx, key, claim.claim_id)
            row, used = found
            if at - used >= _SECOND:
                cache_rows.touch(tx, key, at)
            return row

    def put(self, row: EntryRow, at: int, claim_id: str = "", near: NearRow | None = None) -> int:
        """See `Backend.put`."""
        with self._transaction() as tx:
            return self._put(row, at, claim_id, near, tx)

    def put_soon(
        self, row: EntryRow, at: int, claim_id: str, near: NearRow | None, evicted: EventRow
    ) -> bool:
        """See `Backend.put_soon`."""
        if self._store.shared:
            # There writers run side by side, and lock what they change: an answer that rode on
            # a reservation could make two of them wait for each other.
            return False
        put = partial(self._put, row, at, "", near)
        self._store.defer_work(_Waiting(put, row.entry_key, claim_id, evicted))
        return True

    def release_soon(self, key: str, claim_id: str) -> bool:
        """See `Backend.release_soon`."""
        if self._store.shared:
            return False
        self._store.defer_work(lambda tx: cache_rows.release(tx, key, claim_id))
        return True

    def _put(self, row: EntryRow, at: int, claim_id: str, near: NearRow | None, tx: Tx) -> int:
        cache_rows.put(tx, row, at, near)
        if claim_id:
            cache_rows.release(tx, row.entry_key, claim_id)
        with self._lock:
            self._entries += 1
            self._bytes += row.size
            self._unmeasured += 1
            full = self._entries > self._limits.entries or self._bytes > self._limits.bytes
            if not full and self._unmeasured <= _MEASURE_EVERY:
                return 0
        return self._evict(tx, at)

    def find(self, key: str, at: int) -> EntryRow | None:
        """See `Backend.find`."""
        with self._transaction() as tx:
            found = cache_rows.get(tx, key, at)
            return found[0] if found else None

    def twins(self, near: NearRow, at: int, limit: int) -> list[EntryRow]:
        """See `Backend.twins`."""
        store = self._store
        try:
            found = [cache_rows.get(store, key, at) for key in near_rows.keys(store, near, limit)]
        except StoreError as error:
            raise CacheDown(error.sentence()) from error
        return [each[0] for each in found if each]

    def touch(self, key: str, at: int) -> None:
        """See `Backend.touch`."""
        with self._transaction() as tx:
            cache_rows.touch(tx, key, at)

    def release(self, key: str, claim_id: str) -> None:
        """See `Backend.release`."""
        with self._transaction() as tx:
            cache_rows.release(tx, key, claim_id)

    def remove(self, row: EntryRow) -> bool:
        """See `Backend.remove`."""
        with self._transaction() as tx:
            return cache_rows.remove_sealed(tx, row)

    def clear(self, selection: Selection) -> int:
        """See `Backend.clear`."""
        with self._transaction() as tx:
            keys = cache_rows.select(
                tx,
                tenant=selection.tenant,
                tag=selection.tag,
                model=selection.model,
                notebook=selection.notebook,
            )
            removed = cache_rows.remove(tx, keys)
        with self._lock:
            self._unmeasured = _MEASURE_EVERY
        return removed

    def measure(self, at: int) -> tuple[int, int]:
        """See `Backend.measure`; what has expired is removed."""
        with self._transaction() as tx:
            cache_rows.remove(tx, cache_rows.expired(tx, at))
            return cache_rows.measure(tx)

    def close(self) -> None:
        """See `Backend.close`; the record itself stays open."""
        if self._claimed:
            with self._transaction() as tx:
                cache_rows.release_all(tx, self._lease_id)

    def _evict(self, tx: Tx, at: int) -> int:
        """Remove what has expired, then what was not used for longest."""
        removed = cache_rows.remove(tx, cache_rows.expired(tx, at))
        entries, size = cache_rows.measure(tx)
        if entries > self._limits.entries or size > self._limits.bytes:
            # A little more than needed, so that the next answer does not measure again.
            most = Limits(_nearly(self._limits.entries), _nearly(self._limits.bytes))
            while entries > most.entries or size > most.bytes:
                victims = []
                for key, each in cache_rows.by_use(tx, _EVICT_AT_ONCE):
                    if entries <= most.entries and size <= most.bytes:
                        break
                    victims.append(key)
                    entries, size = entries - 1, size - each
                if not victims:
                    break
                removed += cache_rows.remove(tx, victims)
        with self._lock:
            self._entries, self._bytes, self._unmeasured = entries, size, 0
        return removed

    @contextmanager
    def _transaction(self) -> Iterator[Tx]:
        try:
            with self._store.transaction() as tx:
                yield tx
        except StoreError as error:
            raise CacheDown(error.sentence()) from error


def _nearly(limit: int) -> int:
    return limit - limit // 20


class _Waiting:
    """An answer that waits for the next transaction, and is never a reason for it to fail.

    Args:
        put: Keeps the answer; returns how many others had to go.
        key: Its key.
        claim_id: The claim to give back, whatever becomes of the answer.
        evicted: What to write down if others had to go.
    """

    def __init__(
        self, put: Callable[[Tx], int], key: str, claim_id: str, evicted: EventRow
    ) -> None:
        self._put = put
        self._key = key
        self._claim_id = claim_id
        self._evicted = evicted
        self._left = _TRIES

    def __call__(self, tx: Tx) -> None:
        if self._claim_id:
            cache_rows.release(tx, self._key, self._claim_id)
        self._left -= 1
        if self._left < 0:  # a full disk, perhaps, where smaller writes still fit
            return
        tx.run("SAVEPOINT cache_put")
        try:
            evicted = self._put(tx)
            if evicted:
                event = self._evicted._replace(times=evicted)
                tx.run(cache_rows.APPEND, event)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call has its answer
            self._left = 0
            _log.warning("An answer was not kept: %s", error)
            tx.run("ROLLBACK TO cache_put")
        tx.run("RELEASE cache_put")
