"""The durable record: one schema on SQLite (embedded) or PostgreSQL (a team's).

Ledger, spans and all that later rooms record lie here; no other room writes SQL. A row is never
edited to tell another story: what happened is appended to ``event``.
"""

from __future__ import annotations

from pathlib import Path

from llmops_kernel.errors import SettingsError
from llmops_kernel.store.base import Store, Tx
from llmops_kernel.store.lease import Lease

__all__ = ["Lease", "Store", "Tx", "open_store"]


def open_store(url: str) -> Store:
    """Open the record a URL names.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
            ``postgresql+psycopg://user:password@host/database``.

    Raises:
        SettingsError: The URL has another form.
        StoreError: The record cannot be used.
        MissingExtra: PostgreSQL was asked for and psycopg is not installed.
    """
    if url.startswith("sqlite:///"):
        from llmops_kernel.store.sqlite import SQLiteStore

        name = url.removeprefix("sqlite:///")
        if not name or name == ":memory:":
            raise SettingsError(
                "The record needs a file",
                hint="LLMOPS_STORE=sqlite:///PATH (memory is not durable)",
            )
        return SQLiteStore(Path(name).expanduser().absolute())
    if url.startswith(("postgresql://", "postgresql+psycopg://")):
        from llmops_kernel.store.postgres import PostgresStore

        return PostgresStore(url)
    raise SettingsError(
        "The store's URL has an unknown form",
        hint="Use sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE",
    )
