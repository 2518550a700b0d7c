"""The ledger's statements: balances, holds, events, controls, alerts.

Functions take an open transaction and say nothing about policy; `budget` decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.store.base import Store, Tx
    from llmops_kernel.store.lease import Lease


class BalanceKey(NamedTuple):
    """Names one balance: a value of a scope, in one window, in one book."""

    scope: str
    scope_key: str
    window_kind: str
    window_start: int
    book: str

    @property
    def text(self) -> str:
        """The primary key; the free text comes last, so that keys cannot collide."""
        return f"{self.book}|{self.window_kind}|{self.window_start}|{self.scope}|{self.scope_key}"


class Control(NamedTuple):
    """A row that a person wrote: a stop, or a limit for a cap."""

    kind: str
    scope: str
    scope_key: str
    window_kind: str
    window_start: int
    limit_nano: int
    reason: str


class OpenHold(NamedTuple):
    """A hold as it was when it was closed."""

    state: str
    amount: int
    book: str
    balances: str
    model: str
    call_id: str
    labels: str
    dispatched: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event, about to be appended. ``labels`` is (user, notebook, cell, run, tenant)."""

    at: int
    kind: str
    hold_id: str = ""
    call_id: str = ""
    book: str = ""
    held: int = 0
    spent: int = 0
    balances: str = "[]"
    model: str = ""
    labels: Sequence[str] = ("", "", "", "", "")
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    detail: str = "{}"


def controls(tx: Tx | Store) -> list[Control]:
    """Return all stops and limits that people have set."""
    sql = (
        "SELECT kind, scope, scope_key, window_kind, window_start, limit_nano, reason FROM control"
    )
    rows = tx.rows(sql) if hasattr(tx, "rows") else tx.read(sql)
    return [Control(*row) for row in rows]


def put_control(tx: Tx, control: Control, set_by: str, at: int) -> None:
    """Write a stop or a limit, in place of an earlier one."""
    tx.run(
        "INSERT INTO control (kind, scope, scope_key, window_kind, window_start, limit_nano, "
        "reason, set_by, set_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (kind, scope, scope_key, window_kind, window_start) DO UPDATE SET "
        "limit_nano = excluded.limit_nano, reason = excluded.reason, "
        "set_by = excluded.set_by, set_at = excluded.set_at",
        (*control, set_by, at),
    )


def drop_controls(tx: Tx, kind: str, scope: str, scope_key: str, window_kind: str = "") -> int:
    """Remove the stops of a scope, or the limits of a cap; return how many there were."""
    return tx.run(
        "DELETE FROM control WHERE kind = ? AND scope = ? AND scope_key = ? AND window_kind = ?",
        (kind, scope, scope_key, window_kind),
    )


def try_hold(tx: Tx, key: BalanceKey, amount: int, limit: int) -> bool:
    """Add to what a balance holds, unless that would pass the limit."""
    # The guard belongs to the statement, so that it also holds between two transactions of
    # PostgreSQL that read the same row. A new row has nothing spent yet.
    if amount > limit:
        return False
    return (
        tx.run(
            "INSERT INTO balance (balance_key, scope, scope_key, window_kind, window_start, book, "
            "spent, held) VALUES (?, ?, ?, ?, ?, ?, 0, ?) "
            "ON CONFLICT (balance_key) DO UPDATE SET held = balance.held + excluded.held "
            "WHERE balance.spent + balance.held + excluded.held <= ?",
            (key.text, *key, amount, limit),
        )
        == 1
    )


def move(tx: Tx, key_text: str, held: int, spent: int) -> tuple[int, int]:
    """Change a balance and return (spent, held) afterwards."""
    rows = tx.rows(
        "UPDATE balance SET held = held + ?, spent = spent + ? WHERE balance_key = ? "
        "RETURNING spent, held",
        (held, spent, key_text),
    )
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def balance(source: Tx | Store, key: BalanceKey) -> tuple[int, int]:
    """Return (spent, held) of a balance, zeros if it has no row yet."""
    sql = "SELECT spent, held FROM balance WHERE balance_key = ?"
    values = (key.text,)
    rows = source.rows(sql, values) if hasattr(source, "rows") else source.read(sql, values)
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def scope_keys(store: Store, scope: str, window_kind: str, start: int, book: str) -> list[str]:
    """Return the values of a scope that have a balance in a window."""
    rows = store.read(
        "SELECT scope_key FROM balance WHERE scope = ? AND window_kind = ? AND window_start = ? "
        "AND book = ? ORDER BY scope_key",
        (scope, window_kind, start, book),
    )
    return [row[0] for row in rows]


def add_hold(
    tx: Tx,
    hold_id: str,
    call_id: str,
    lease_id: str,
    book: str,
    amount: int,
    *,
    dispatched: bool,
    balances: str,
    model: str,
    price_version: str,
    labels: str,
    created: int,
    expires: int,
) -> bool:
    """Insert a hold; False when one of this id exists."""
    return (
        tx.run(
            "INSERT INTO hold (hold_id, call_id, lease_id, book, amount, state, dispatched, "
            "balances, model, price_version, labels, created, expires) "
            "VALUES (?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hold_id) DO NOTHING",
            (
                hold_id,
                call_id,
                lease_id,
                book,
                amount,
                int(dispatched),
                balances,
                model,
                price_version,
                labels,
                created,
                expires,
            ),
        )
        == 1
    )


def mark_dispatched(tx: Tx, hold_id: str) -> bool:
    """Note that the request is about to leave; False when the hold is not open any more."""
    sql = "UPDATE hold SET dispatched = 1 WHERE hold_id = ? AND state = 'held'"
    return tx.run(sql, (hold_id,)) == 1


def take_hold(tx: Tx, hold_id: str) -> OpenHold | None:
    """Remove a hold, open or lost; None when somebody closed it before.

    What it was stays in the event log; the table holds only what is open, and so stays small.
    """
    rows = tx.rows(
        "DELETE FROM hold WHERE hold_id = ? "
        "RETURNING state, amount, book, balances, model, call_id, labels, dispatched",
        (hold_id,),
    )
    return OpenHold(*rows[0]) if rows else None


def lose_hold(tx: Tx, hold_id: str) -> OpenHold | None:
    """Mark an open hold as charged in full on its owner's death; None when it is not open."""
    rows = tx.rows(
        "UPDATE hold SET state = 'lost' WHERE hold_id = ? AND state = 'held' "
        "RETURNING state, amount, book, balances, model, call_id, labels, dispatched",
        (hold_id,),
    )
    return OpenHold(*rows[0]) if rows else None


def append(tx: Tx, event: EventRow) -> None:
    """Append an event."""
    tx.run(
        "INSERT INTO event (at, kind, hold_id, call_id, book, held, spent, balances, model, "
        "user_name, notebook, cell_id, run_id, tenant, input_tokens, output_tokens, estimated, "
        "detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.at,
            event.kind,
            event.hold_id,
            event.call_id,
            event.book,
            event.held,
            event.spent,
            event.balances,
            event.model,
            *event.labels,
            event.input_tokens,
            event.output_tokens,
            int(event.estimated),
            event.detail,
        ),
    )


def last_event_time(store: Store) -> int:
    """Return when the newest event was written, 0 for an empty log."""
    rows = store.read("SELECT at FROM event ORDER BY event_id DESC LIMIT 1")
    return rows[0][0] if rows else 0


def events(store: Store, limit: int, user: str | None = None) -> list[tuple[Any, ...]]:
    """Return the newest events, newest first, in the order of `LedgerEvent`'s fields."""
    where, values = ("WHERE user_name = ? ", (user,)) if user else ("", ())
    return store.read(
        "SELECT event_id, at, kind, hold_id, call_id, book, held, spent, model, user_name, "
        f"notebook, cell_id, run_id, estimated, detail FROM event {where}"
        "ORDER BY event_id DESC LIMIT ?",
        (*values, limit),
    )


def costs_by_cell(store: Store, run_id: str) -> list[tuple[Any, ...]]:
    """Return (cell_id, book, calls, input tokens, output tokens, spent) for a run."""
    return store.read(
        "SELECT cell_id, book, SUM(CASE WHEN kind = 'settle' THEN 1 ELSE 0 END), "
        "SUM(input_tokens), SUM(output_tokens), SUM(spent) FROM event "
        "WHERE run_id = ? AND kind IN ('settle', 'expire', 'adjust') GROUP BY cell_id, book "
        "ORDER BY MIN(event_id)",
        (run_id,),
    )


def models_of_run(store: Store, run_id: str) -> list[tuple[str, str]]:
    """Return the distinct (model, detail of the first settlement) pairs of a run."""
    rows = store.read(
        "SELECT model, MIN(detail) FROM event WHERE run_id = ? AND kind = 'settle' "
        "GROUP BY model ORDER BY model",
        (run_id,),
    )
    return [(row[0], row[1]) for row in rows]


def projections(store: Store) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return all (balances JSON, held, spent) of the log and (key, held, spent) of the balances."""
    logged = store.read(
        "SELECT balances, SUM(held), SUM(spent) FROM event WHERE held <> 0 OR spent <> 0 "
        "GROUP BY balances"
    )
    return logged, store.read("SELECT balance_key, held, spent FROM balance")


def put_lease(tx: Tx, lease: Lease, at: int) -> None:
    """Insert a lease, or renew its heartbeat."""
    tx.run(
        "INSERT INTO lease (lease_id, machine, boot, pid, pid_start, heartbeat) "
        "VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (lease_id) DO UPDATE SET heartbeat = excluded.heartbeat",
        (lease.lease_id, lease.machine, lease.boot, lease.pid, lease.pid_start, at),
    )


def open_holds(store: Store) -> list[tuple[Any, ...]]:
    """Return (hold_id, dispatched, expires, lease_id, machine, boot, pid, pid_start, heartbeat)."""
    return store.read(
        "SELECT hold_id, dispatched, expires, hold.lease_id, machine, boot, pid, pid_start, "
        "heartbeat FROM hold JOIN lease ON lease.lease_id = hold.lease_id WHERE state = 'held'"
    )


def fire_alert(tx: Tx, key_text: str, step: int, sentence: str, notify: str, at: int) -> bool:
    """Record that a balance passed a step; False when it was recorded before."""
    return (
        tx.run(
            "INSERT INTO alert (balance_key, step, fired_at, sentence, notify, shown, sent) "
            "VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT (balance_key, step) DO NOTHING",
            (key_text, step, at, sentence, notify, int(notify == "[]")),
        )
        == 1
    )


def unsent_alerts(store: Store) -> list[tuple[str, int, str, str]]:
    """Return (balance key, step, sentence, notify JSON) of alerts nobody has sent yet."""
    rows = store.read("SELECT balance_key, step, sentence, notify FROM alert WHERE sent = 0")
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def claim_alert(tx: Tx, key_text: str, step: int) -> bool:
    """Take an alert for sending, so that no other process sends it too."""
    sql = "UPDATE alert SET sent = 1 WHERE balance_key = ? AND step = ? AND sent = 0"
    return tx.run(sql, (key_text, step)) == 1


def take_unshown_alerts(store: Store) -> list[str]:
    """Return the sentences of alerts nobody was shown, oldest first, and mark them shown."""
    if not store.read("SELECT 1 FROM alert WHERE shown = 0 LIMIT 1"):
        return []
    with store.transaction() as tx:
        rows = tx.rows(
            "UPDATE alert SET shown = 1 WHERE shown = 0 RETURNING fired_at, step, sentence"
        )
    return [row[2] for row in sorted(rows)]
