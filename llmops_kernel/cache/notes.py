"""What the cache did, written down: rows that go along with the next transaction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from llmops_kernel.errors import StoreError
from llmops_kernel.store import cache_rows, hit_rows
from llmops_kernel.store.cache_rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.lookup import Lookup
    from llmops_kernel.cache.near import Twin
    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)

Kind = Literal["hit", "miss", "tampered", "evicted"]


class Notes:
    """Writes down what the cache did.

    Args:
        store: The record.
        now: Returns microseconds since the epoch.
    """

    def __init__(self, store: Store, now: Callable[[], int]) -> None:
        self._store = store
        self._now = now

    def row(
        self, kind: Kind, lookup: Lookup, *, tier: str = "", entry: Entry | None = None,
        count: int = 1,
    ) -> EventRow:  # fmt: skip
        """Return the row of what happened."""
        context = lookup.context
        return EventRow(
            self._now(),
            kind,
            tier,
            lookup.key,
            lookup.tenant,
            lookup.model,
            entry.book if entry else "",
            context.user,
            context.notebook,
            context.run_id,
            context.call_id,
            count,
            entry.saved_nano if entry else 0,
        )

    def write(self, row: EventRow) -> None:
        """Write a row down."""
        self._defer(cache_rows.APPEND, row)

    def twin(self, lookup: Lookup, twin: Twin, *, drawn: bool) -> None:
        """Write both texts of a hit on another text down, to be judged."""
        row = twin.row
        hit = hit_rows.HitRow(
            self._now(),
            lookup.context.call_id,
            row.entry_key,
            row.tenant,
            row.model,
            row.notebook,
            row.tags,
            twin.stored,
            twin.asked,
            twin.reason,
            twin.tier,
            twin.place,
            int(drawn),
        )
        self._defer(hit_rows.APPEND, hit)
        self._defer(hit_rows.TRIM, ())

    def _defer(self, sql: str, values: tuple[object, ...]) -> None:
        try:
            self._store.defer(sql, values)
        except StoreError as error:
            _log.warning("The record is not up to date: %s", error)
