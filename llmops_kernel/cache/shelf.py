"""Where sealed answers lie, for calls that go on without them when it cannot be used."""

from __future__ import annotations

import logging
import secrets
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from llmops_kernel.cache.backend import CacheDown, Limits
from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.record import RecordBackend
from llmops_kernel.cache.seal import Seal, secret_in
from llmops_kernel.errors import StoreError
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmops_kernel.cache.backend import Backend
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Lease, Store
    from llmops_kernel.store.cache_rows import EntryRow

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_MICRO = 1_000_000
# How long calls go on uncached before a place that failed is tried again.
_PAUSE_S = 30.0


class Shelf:
    """A back end with its seal. It fails open, with one warning.

    Args:
        settings: Where answers are kept, and how many.
        store: The record.
        lease: This process.
        variable: Returns a variable's value, for the team's secret.
        clock: Seconds since the epoch; for tests.

    Raises:
        MissingExtra: The answers are to lie on a Redis server, and its package is missing.
        SettingsError: The cache's URL cannot be used.
    """

    def __init__(
        self,
        settings: CacheSettings,
        store: Store,
        lease: Lease,
        *,
        variable: Callable[[str], str | None],
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self.down_until = 0.0
        self.warned = ""
        self._url = settings.url
        self._secret_env = settings.secret_env
        self._store = store
        self._variable = variable
        self._seal: Seal | None = None
        self._lock = Lock()
        limits = Limits(settings.max_entries, settings.max_bytes)
        self.backend: Backend
        if settings.url:
            from llmops_kernel.cache.redis_server import RedisBackend

            self.backend = RedisBackend(settings.url, limits)
        else:
            self.backend = RecordBackend(store, lease.lease_id, limits)

    def now(self) -> int:
        """Return the time in microseconds since the epoch."""
        return int(self.clock() * _MICRO)

    @property
    def is_down(self) -> bool:
        """Whether it failed a moment ago and is not asked now."""
        return time.monotonic() < self.down_until

    async def attempt(self, work: Callable[..., _T], *arguments: Any) -> _T | None:
        """Do something with the back end; None when it is down."""
        if self.is_down:
            return None
        try:
            done = await self.backend.arun(work, *arguments)
        except CacheDown as error:
            self.failed(error)
            return None
        self.warned = ""
        return done

    def direct(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Do something with the back end, for people.

        Raises:
            StoreError: It cannot be used.
        """
        try:
            return work(*arguments)
        except CacheDown as error:
            raise StoreError(
                "The cache cannot be used now", detail=str(error), hint="Calls go on uncached"
            ) from error

    def failed(self, error: CacheDown) -> None:
        """Leave the back end alone for a while; say so once."""
        self.down_until = time.monotonic() + _PAUSE_S
        if not self.warned:
            self.warned = f"Answers are not cached now: {error}"
            _log.warning(self.warned)

    def whole(self, rows: Iterable[EntryRow], tenant: str) -> Iterator[tuple[EntryRow, Entry]]:
        """Yield the rows that may be served to a tenant, opened.

        Others are left for whoever asks for them by their own key, who removes and counts them.
        """
        for row in rows:
            entry = self.opened(row, tenant, row.entry_key)
            if entry is not None:
                yield row, entry

    def opened(self, row: EntryRow, tenant: str, key: str) -> Entry | None:
        """Return the entry of a row, if it is as it was sealed, and for this tenant and key."""
        if row.entry_key != key or row.tenant != tenant:
            return None
        if row.expires <= self.now() or not self.sealer().fits(row):
            return None
        entry = Entry(row.payload, row.saved_nano, row.book)
        try:
            entry.reply()
        except (KeyError, TypeError, ValueError):
            return None
        return entry

    def sealer(self) -> Seal:
        """Return what makes keys and seals."""
        with self._lock:
            if self._seal is None:
                self._seal = Seal(self._secret())
            return self._seal

    def close(self) -> None:
        """Give back what this process has taken on, so that others need not wait."""
        try:
            self.backend.close()
        except CacheDown as error:
            _log.debug("The cache was not closed in order: %s", error)

    def _secret(self) -> bytes:
        if self._secret_env and (value := self._variable(self._secret_env)):
            return value.encode()
        path = getattr(self._store, "path", None)
        if path is None or self._url:
            path = data_home() / "cache.key"
        else:
            path = path.with_name(f"{path.name}.key")
        try:
            return secret_in(path)
        except OSError as error:
            _log.warning("Answers are cached for this process only: %s", error)
            return secrets.token_bytes(32)
