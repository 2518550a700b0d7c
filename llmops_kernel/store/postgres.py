"""The team's store: the same schema on a PostgreSQL server."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmops_kernel.errors import MissingExtra, StoreError
from llmops_kernel.store.connections import ConnectedStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

    from llmops_kernel.store.base import Tx

_DIALECT = {
    "{ID}": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "{INT}": "BIGINT",
    "{BYTES}": "BYTEA",
    "{KEYED}": "",
}
_SCHEMA_LOCK = 7_011_976  # any constant: two first connections must not create tables at once


@lru_cache(maxsize=512)
def _translated(sql: str) -> str:
    return sql.replace("?", "%s")


class _PostgresTx:
    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(_translated(sql), values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(_translated(sql), values).rowcount


class PostgresStore(ConnectedStore["psycopg.Connection[tuple[Any, ...]]"]):
    """A record that a team shares.

    Args:
        url: ``postgresql+psycopg://user:password@host/database`` (``+psycopg`` may be left out).

    Raises:
        MissingExtra: psycopg is not installed.
        StoreError: The server cannot be reached or refuses us.
    """

    inline = False
    shared = True

    def __init__(self, url: str) -> None:
        super().__init__()
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("postgres", "psycopg") from error
        self._psycopg = psycopg
        self.url = url
        self._dsn = url.replace("postgresql+psycopg://", "postgresql://", 1)
        try:
            self._migrate(_DIALECT)
        except BaseException:
            self._disconnect()
            raise

    @property
    def label(self) -> str:
        """The URL without its password."""
        parts = urlsplit(self._dsn)
        name = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
        return f"postgresql://{name}{parts.hostname or ''}{port}{parts.path}"

    @contextmanager
    def _begin(self) -> Iterator[Tx]:
        connection = self._connection()
        try:
            with connection.transaction():
                yield _PostgresTx(connection)
        except self._psycopg.Error as error:
            self._forget_if_broken(connection)
            raise self._explain(error) from error

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the last committed state."""
        self.flush()
        connection = self._connection()
        try:
            return connection.execute(_translated(sql), values).fetchall()
        except self._psycopg.Error as error:
            self._forget_if_broken(connection)
            raise self._explain(error) from error

    @contextmanager
    def alone(self) -> Iterator[Tx]:
        """Run statements outside any transaction, each as long as it takes, then disconnect.

        Raises:
            StoreError: One failed; those before it are done.
        """
        connection = self._connect()
        try:
            connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            yield _PostgresTx(connection)
        except self._psycopg.Error as error:
            raise self._explain(error) from error
        finally:
            self._let_go(connection)
            connection.close()

    def warnings(self) -> list[str]:
        """Nothing is unsafe about a server."""
        return []

    def _has_tables(self, tx: Tx) -> bool:
        # PostgreSQL can race on its catalogue even with IF NOT EXISTS: one creator at a time.
        tx.rows("SELECT pg_advisory_xact_lock(?)", (_SCHEMA_LOCK,))
        return bool(tx.rows("SELECT to_regclass('meta') IS NOT NULL")[0][0])

    def _is_gone(self, connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
        return connection.closed

    def _open(self) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            return self._psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=10,
                options="-c statement_timeout=15000 -c lock_timeout=10000",
                application_name="llmops-kernel",
            )
        except self._psycopg.Error as error:
            raise self._explain(error) from error

    def _forget_if_broken(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        if connection.closed or connection.broken:
            self._local.connection = None
            self._let_go(connection)

    def _explain(self, error: psycopg.Error) -> StoreError:
        name = type(error).__name__
        if name in {"LockNotAvailable", "QueryCanceled"}:
            message, hint = "The record is locked by another process", "Try again in a moment"
        elif name in {"DiskFull", "OutOfMemory"}:
            message, hint = "The server of the record is full", "Free space; nothing was spent"
        elif name in {"ReadOnlySqlTransaction", "InsufficientPrivilege"}:
            message, hint = "The record is read-only", "Ask for write access to the database"
        else:
            message, hint = "The record cannot be reached", "Check LLMOPS_STORE and the server"
        # The server's text can quote the connection string; its first line is enough.
        first = str(error).strip().splitlines()[0] if str(error).strip() else name
        return StoreError(message, detail=f"{self.label}: {first}", hint=hint)
