"""The trace's statements: spans that start, end, and are read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.store.base import Store, Tx

_COLUMNS = (
    "span_id, trace_id, parent_id, name, kind, started, ended, status, attributes, input, output, "
    "lease_id"
)

START = (
    "INSERT INTO span (span_id, trace_id, parent_id, lease_id, name, kind, started, ended, status, "
    "run_id, attributes, input, output) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 'running', ?, ?, ?, '') "
    "ON CONFLICT (trace_id, span_id) DO NOTHING"
)
END = (
    "UPDATE span SET ended = ?, status = ?, attributes = ?, output = ? "
    "WHERE trace_id = ? AND span_id = ?"
)


def spans_of(store: Store, trace_id: str) -> list[tuple[Any, ...]]:
    """Return the spans of a trace in order of start, oldest first."""
    return store.read(
        f"SELECT {_COLUMNS} FROM span WHERE trace_id = ? ORDER BY started, span_id", (trace_id,)
    )


def roots(store: Store, limit: int) -> list[tuple[Any, ...]]:
    """Return the newest root spans, newest first."""
    return store.read(
        f"SELECT {_COLUMNS} FROM span WHERE parent_id = '' ORDER BY started DESC, span_id LIMIT ?",
        (limit,),
    )


def named(store: Store, prefix: str, limit: int) -> list[tuple[Any, ...]]:
    """Return the newest spans whose name begins so, newest first."""
    return store.read(
        f"SELECT {_COLUMNS} FROM span WHERE substr(name, 1, ?) = ? "
        "ORDER BY started DESC, span_id LIMIT ?",
        (len(prefix), prefix, limit),
    )


def running(store: Store) -> list[tuple[Any, ...]]:
    """Return (lease_id, machine, boot, pid, pid_start) of owners of spans that have not ended."""
    return store.read(
        "SELECT DISTINCT span.lease_id, machine, boot, pid, pid_start FROM span "
        "JOIN lease ON lease.lease_id = span.lease_id WHERE ended IS NULL"
    )


def interrupt(tx: Tx, lease_id: str) -> int:
    """Mark the unfinished spans of a dead owner."""
    return tx.run(
        "UPDATE span SET status = 'interrupted', ended = started "
        "WHERE lease_id = ? AND ended IS NULL",
        (lease_id,),
    )


def inputs_of_run(store: Store, run_id: str) -> list[tuple[str, str]]:
    """Return (attributes JSON, input) of the model calls of a run."""
    rows = store.read(
        "SELECT attributes, input FROM span WHERE run_id = ? AND kind = 'llm' ORDER BY started",
        (run_id,),
    )
    return [(row[0], row[1]) for row in rows]
