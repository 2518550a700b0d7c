"""What every store offers: transactions, reads, and writes that can wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llmops_kernel.errors import StoreError
from llmops_kernel.store.schema import MIGRATIONS, SCHEMA_VERSION, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_T = TypeVar("_T")
# A statement with its values, or work that runs several.
_Write = tuple["str | Callable[[Tx], object]", "Sequence[Any]"]
_log = logging.getLogger(__name__)

# Beyond this many waiting writes they are written without waiting for a transaction.
_MAX_DEFERRED = 256
_CARRIED_S = 2.0  # to wait for another thread's transaction; what reads then is late, not wrong


class StoreBusy(Exception):
    """The store is locked by somebody else, for longer than this thread may wait."""


class Tx(Protocol):
    """An open transaction. Statements use ``?`` for values in both dialects."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        ...

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement and return the number of rows it changed."""
        ...


class Store(ABC):
    """The durable record.

    One connection per thread; none is used across a fork. `transaction` is the only way to
    write: all or nothing, and alone among writers.

    Attributes:
        url: Where the record is; may hold a password, show `label` instead.
        inline: Whether a transaction is fast enough to run on an event loop.
        shared: Whether other machines may write the same record.
    """

    url: str
    inline: bool
    shared: bool

    def __init__(self) -> None:
        self._deferred: deque[_Write] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()
        # Transactions that carry waiting writes and have not ended, by the thread that runs each.
        self._carrying: set[int] = set()
        self._carried = threading.Condition()

    @property
    @abstractmethod
    def label(self) -> str:
        """The URL without secrets, for people."""

    @abstractmethod
    @contextmanager
    def _begin(self) -> Iterator[Tx]:
        """Open a write transaction; commit on success, roll back on any exception."""
        yield  # type: ignore[misc]  # pragma: no cover

    @abstractmethod
    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows, outside any transaction; waiting writes are written first."""

    @abstractmethod
    def warnings(self) -> list[str]:
        """Return what is unsafe about where the record lives, in sentences."""

    @abstractmethod
    def _disconnect(self) -> None: ...

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Open a write transaction, which takes the waiting writes along.

        Raises:
            StoreError: The record cannot be written; nothing was changed.
        """
        taken: list[_Write] = []
        me = threading.get_ident()
        try:
            with self._begin() as tx:
                if self._deferred:
                    self._carrying.add(me)
                while self._deferred:
                    taken.append(self._deferred.popleft())
                for what, values in taken:
                    if isinstance(what, str):
                        tx.run(what, values)
                    else:
                        what(tx)
                yield tx
        except BaseException:
            # The roll-back undid them too. Order among writers of one row is kept.
            self._deferred.extendleft(reversed(taken))
            raise
        finally:
            if me in self._carrying:
                with self._carried:
                    self._carrying.discard(me)
                    self._carried.notify_all()

    def defer(self, sql: str, values: Sequence[Any]) -> None:
        """Queue a write for the next transaction, `flush` or `read`, whichever is first.

        For rows that must be there before money moves, but not before the caller goes on: a span
        that starts is written in the same transaction that reserves for it.
        """
        self._deferred.append((sql, values))
        if len(self._deferred) > _MAX_DEFERRED:
            self.flush()

    def defer_work(self, work: Callable[[Tx], object]) -> None:
        """Queue work for the next transaction, like `defer`; it is never dropped.

        Until it is done, it fails every transaction that it fails: what depends on it is refused.
        """
        self._deferred.append((work, ()))

    def flush(self) -> None:
        """Write what waits. Failures are logged, and it is tried again with what comes next.

        What another thread is writing at the moment is waited for, so that it can be read after.
        """
        try:
            self.write_waiting()
            if self._carrying and threading.get_ident() not in self._carrying:
                with self._carried:
                    self._carried.wait_for(lambda: not self._carrying, timeout=_CARRIED_S)
        except (StoreError, StoreBusy) as error:
            _log.warning("The record is not up to date: %s", error)
            if len(self._deferred) > 100 * _MAX_DEFERRED:  # a dead disk must not eat memory
                kept = [write for write in self._deferred if not isinstance(write[0], str)]
                self._deferred.clear()
                self._deferred.extend(kept)

    def write_waiting(self) -> None:
        """Write what waits (raises `StoreError`; nothing is lost)."""
        if self._deferred:
            with self.transaction():
                pass

    async def arun(self, work: Callable[..., _T], *arguments: Any) -> _T:
        """Run blocking work from an event loop: inline where that is fast, else in a thread."""
        if self.inline:
            try:
                with self._impatient():
                    return work(*arguments)
            except StoreBusy:
                pass  # somebody holds the lock: wait for it without stopping the loop
        return await asyncio.get_running_loop().run_in_executor(self._threads(), work, *arguments)

    def close(self) -> None:
        """Write what waits and close all connections."""
        self.flush()
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(wait=True)
                self._pool = None
        self._disconnect()

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Make this thread raise `StoreBusy` after milliseconds instead of waiting seconds."""
        yield

    def _threads(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(4, thread_name_prefix="llmops-store")
            return self._pool

    @abstractmethod
    def _has_tables(self, tx: Tx) -> bool:
        """Whether the schema exists, with nobody else creating it until this transaction ends."""

    def _migrate(self, dialect: dict[str, str]) -> None:
        """Create the tables, or lift an older record to this schema."""
        with self._begin() as tx:
            version = 0
            if self._has_tables(tx):
                version = int(tx.rows("SELECT value FROM meta WHERE name = 'schema'")[0][0])
            if version == SCHEMA_VERSION:
                return
            if version > SCHEMA_VERSION:
                raise StoreError(
                    "The record was written by a newer llmops-kernel",
                    detail=f"schema {version}, this version knows {SCHEMA_VERSION}",
                    hint="pip install --upgrade llmops-kernel, or set LLMOPS_STORE elsewhere",
                )
            steps = TABLES if version == 0 else sum(MIGRATIONS[version - 1 :], ())
            for statement in steps:
                sql = statement
                for word, replacement in dialect.items():
                    sql = sql.replace(word, replacement)
                tx.run(sql)
            tx.run(
                "INSERT INTO meta (name, value) VALUES ('schema', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(SCHEMA_VERSION),),
            )
