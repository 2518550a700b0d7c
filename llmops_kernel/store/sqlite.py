"""The embedded store: one SQLite file in WAL mode."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import StoreError
from llmops_kernel.store.base import StoreBusy, Tx
from llmops_kernel.store.connections import ConnectedStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIALECT = {
    "{ID}": "INTEGER PRIMARY KEY",
    "{INT}": "INTEGER",
    "{BYTES}": "BLOB",
    "{KEYED}": " WITHOUT ROWID",
}
_PATIENCE_MS = 10_000
_IMPATIENCE_MS = 20
_NETWORK = ("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre",
            "glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse")  # fmt: skip


class _SQLiteTx:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._execute(sql, values).fetchall()

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._execute(sql, values).rowcount


class SQLiteStore(ConnectedStore["sqlite3.Connection"]):
    """A record in one local file, readable by its owner only.

    Args:
        path: The file; its folder is made if needed.

    Raises:
        StoreError: The file cannot be opened, is no SQLite file, or is newer than this version.
    """

    inline = True
    shared = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.url = f"sqlite:///{path}"
        self.network_type = network_filesystem(path)
        self._create_file()
        try:
            self._migrate(_DIALECT)
        except BaseException:
            self._disconnect()
            raise

    @property
    def label(self) -> str:
        """The URL; a file has no secrets in it."""
        return self.url

    @contextmanager
    def _begin(self) -> Iterator[Tx]:
        connection = self._connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._explain(error) from error
        try:
            yield _SQLiteTx(connection)
            connection.execute("COMMIT")
        except BaseException as error:
            self._roll_back(connection)
            if isinstance(error, sqlite3.Error):
                raise self._explain(error) from error
            raise

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of the last committed state."""
        self.flush()
        try:
            return self._connection().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def warnings(self) -> list[str]:
        """Name a network file system: WAL needs shared memory that networks do not have."""
        if not self.network_type:
            return []
        return [
            f"The record lies on a network file system ({self.network_type}); one machine at a "
            "time may use it. Set LLMOPS_STORE to a local path or to PostgreSQL."
        ]

    def _has_tables(self, tx: Tx) -> bool:
        return bool(tx.rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'"))

    def _create_file(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Made by us before SQLite opens it, so that it is never readable by others.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise StoreError(
                "The record cannot be written",
                detail=f"{self.path}: {error.strerror or error}",
                hint="Free the place, or set LLMOPS_STORE=sqlite:///PATH to another one",
            ) from error

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                timeout=_PATIENCE_MS / 1000,
                isolation_level=None,
                check_same_thread=False,  # `close` runs in one thread for all
                cached_statements=256,
            )
            # WAL keeps readers and the writer apart; over a network it would corrupt.
            connection.execute(f"PRAGMA journal_mode={'TRUNCATE' if self.network_type else 'WAL'}")
            # A checkpoint syncs the disk; every 16 MB is often enough for a file this small.
            connection.execute("PRAGMA wal_autocheckpoint=4000")
            # A killed process loses nothing at NORMAL; a power cut may lose the last commits.
            connection.execute(f"PRAGMA synchronous={'FULL' if self.network_type else 'NORMAL'}")
        except sqlite3.Error as error:
            raise self._explain(error) from error
        return connection

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        # The busy time-out belongs to the connection, and each thread has its own: the loop's
        # thread is made impatient once, at its first use.
        if not getattr(self._local, "impatient", False):
            self._connection().execute(f"PRAGMA busy_timeout={_IMPATIENCE_MS}")
            self._local.impatient = True
        yield

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # A connection that cannot roll back is not used again; SQLite recovers on open.
            self._local.connection = None

    def _explain(self, error: sqlite3.Error) -> Exception:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            if getattr(self._local, "impatient", False):
                return StoreBusy()
            return StoreError(
                "The record is locked by another process",
                detail=f"{self.path}: waited {_PATIENCE_MS / 1000:.0f} s",
                hint="Close whatever holds the file open (a backup, a database browser)",
            )
        why = {
            "SQLITE_FULL": ("The disk of the record is full", "Free space; nothing was spent"),
            "SQLITE_READONLY": ("The record is read-only", "Make the file and its folder writable"),
            "SQLITE_CANTOPEN": (
                "The record cannot be opened",
                "Check the path and its permissions",
            ),
            "SQLITE_NOTADB": (
                "The record is not a SQLite file",
                "Set LLMOPS_STORE to another path",
            ),
            "SQLITE_CORRUPT": ("The record is damaged", "Restore a copy, or move the file away"),
        }
        for prefix, (message, hint) in why.items():
            if name.startswith(prefix):
                return StoreError(message, detail=f"{self.path}: {error}", hint=hint)
        return StoreError("The record cannot be used", detail=f"{self.path}: {error}")


def network_filesystem(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Return the type of the network file system that holds ``path``, or an empty string."""
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return ""
    target = str(path.expanduser().absolute())
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = fields[1].encode().decode("unicode_escape")
        inside = target == mount or target.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind if kind in _NETWORK else ""
