"""What people change while programs run: limits and stops.

Both are rows that every reservation reads, so they reach all kernels of the record at their next
call, busy or not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.caps import EVERY_WINDOW, ActiveCap, Bound, Scopes, bounds
from llmops_kernel.budget.refusals import dollars
from llmops_kernel.budget.status import CapStatus, LedgerEvent, nano, usd
from llmops_kernel.budget.windows import MICRO, window_bounds
from llmops_kernel.errors import UsageProblem
from llmops_kernel.settings import Cap
from llmops_kernel.store import ledger_rows
from llmops_kernel.store.ledger_rows import Control, EventRow

if TYPE_CHECKING:
    from decimal import Decimal

    from llmops_kernel.budget.ledger import Ledger
    from llmops_kernel.settings import Book, Scope, Window

_BOOKS: tuple[Book, ...] = ("real", "simulated")


def statuses(ledger: Ledger, scopes: Scopes) -> list[CapStatus]:
    """Return the state of every cap, in both books, for the given scopes."""
    at = ledger.now()
    controls = ledger_rows.controls(ledger.store)
    found: list[CapStatus] = []
    for active in ledger.caps:
        for book in _BOOKS:
            for value in _values(ledger, active, scopes, book, at):
                narrowed = ActiveCap(active.cap.model_copy(update={"key": value}), active.source)
                here = replace(scopes, **{active.cap.scope: value})
                found += [
                    _status(ledger, bound, active, book)
                    for bound in bounds([narrowed], here, book, controls, at, ledger.zone)
                ]
    return found


def set_limit(
    ledger: Ledger, scopes: Scopes, amount: Decimal, scope: Scope, window: Window
) -> None:
    """Set the limit of a cap for good; it counts from the next call on, in all kernels.

    A cap that did not exist is added to this process's; others see it once their settings name
    it. Raises `UsageProblem` for a cap that was given in code or by a run.
    """
    _change(ledger, scopes, scope, window, amount, every_window=True)


def raise_limit(
    ledger: Ledger, scopes: Scopes, amount: Decimal, scope: Scope, window: Window
) -> None:
    """Allow more in this window only; the next one starts with the old limit."""
    bound = _bound(ledger, scopes, scope, window)
    _refuse_fixed(bound.active)
    total = usd(bound.limit) + amount
    _change(ledger, scopes, scope, window, total, every_window=window == "total")


def stop(ledger: Ledger, scope: str, value: str, reason: str, by: str) -> None:
    """Stop all calls of a scope's value at their next reservation."""
    at = ledger.now()
    with ledger.store.transaction() as tx:
        ledger_rows.put_control(tx, Control("stop", scope, value, "", 0, 0, reason), by, at)
        ledger_rows.append(
            tx, EventRow(at, "stop", labels=(by, "", "", "", ""), detail=json.dumps(reason))
        )


def resume(ledger: Ledger, scope: str, value: str, by: str) -> bool:
    """Lift a stop; False when there was none."""
    at = ledger.now()
    with ledger.store.transaction() as tx:
        lifted = ledger_rows.drop_controls(tx, "stop", scope, value) > 0
        if lifted:
            ledger_rows.append(tx, EventRow(at, "resume", labels=(by, "", "", "", "")))
    return lifted


def stopped(ledger: Ledger, scopes: Scopes) -> str | None:
    """Return the reason of the stop in force ("" if none was given); None without a stop."""
    from llmops_kernel.budget.refusals import EVERYBODY

    for row in ledger_rows.controls(ledger.store):
        if row.kind == "stop" and (
            row.scope == EVERYBODY or getattr(scopes, row.scope, None) == row.scope_key
        ):
            return row.reason
    return None


def history(ledger: Ledger, limit: int, user: str | None) -> list[LedgerEvent]:
    """Return the newest events, newest first."""
    return [_event(row) for row in ledger_rows.events(ledger.store, limit, user)]


def _event(row: tuple[Any, ...]) -> LedgerEvent:
    event_id, at, *middle, estimated, detail = row
    moment = datetime.fromtimestamp(at / MICRO, UTC)
    return LedgerEvent(event_id, moment, *middle, bool(estimated), _as_dict(detail))  # type: ignore[call-arg]


def _change(
    ledger: Ledger,
    scopes: Scopes,
    scope: Scope,
    window: Window,
    amount: Decimal,
    *,
    every_window: bool,
) -> None:
    if not any(cap.cap.scope == scope and cap.cap.window == window for cap in ledger.caps):
        if not every_window:
            raise UsageProblem(
                f"There is no cap per {window} for the scope {scope}",
                hint=f"%budget set {amount} --per {window} --scope {scope} makes one",
            )
        ledger.caps = (*ledger.caps, ActiveCap(Cap(scope=scope, window=window, usd=amount)))
    bound = _bound(ledger, scopes, scope, window)
    lowers_run = every_window and bound.active.source == "run"
    if not lowers_run or nano(amount) > nano(bound.active.cap.usd):
        _refuse_fixed(bound.active)
    at = ledger.now()
    start = EVERY_WINDOW if every_window else bound.key.window_start
    place = (bound.key.scope, bound.key.scope_key, window)
    with ledger.store.transaction() as tx:
        if every_window:
            # A raise of the current window would otherwise outlive the new limit.
            ledger_rows.drop_controls(tx, "cap", *place)
        ledger_rows.put_control(
            tx, Control("cap", *place, start, nano(amount), ""), scopes.user, at
        )
        detail = {"scope": scope, "window": window, "limit": dollars(nano(amount))}
        ledger_rows.append(
            tx, EventRow(at, "cap", labels=(scopes.user, "", "", scopes.run, scopes.tenant),
                         detail=json.dumps(detail)),
        )  # fmt: skip


def _bound(ledger: Ledger, scopes: Scopes, scope: Scope, window: Window) -> Bound:
    matching = [c for c in ledger.caps if c.cap.scope == scope and c.cap.window == window]
    controls = ledger_rows.controls(ledger.store)
    found = bounds(matching, scopes, "real", controls, ledger.now(), ledger.zone)
    if not found:
        raise UsageProblem(
            f"There is no cap per {window} for the scope {scope}",
            hint="%budget show lists the caps; %budget set adds one",
        )
    return found[0]


def _refuse_fixed(active: ActiveCap) -> None:
    if active.source == "run":
        raise UsageProblem(
            "This cap belongs to the run and cannot be raised from inside it",
            hint="Start the run with a larger --budget",
        )
    if active.source == "argument":
        raise UsageProblem(
            "This cap was given in code and cannot be changed by a command",
            hint="Change it where the Session is made",
        )


def _values(ledger: Ledger, active: ActiveCap, scopes: Scopes, book: Book, at: int) -> list[str]:
    if active.cap.key is not None:
        return [active.cap.key]
    if active.cap.scope != "model":
        return [getattr(scopes, active.cap.scope)]
    start, _ = window_bounds(active.cap.window, at, ledger.zone)
    return ledger_rows.scope_keys(ledger.store, "model", active.cap.window, start, book)


def _status(ledger: Ledger, bound: Bound, active: ActiveCap, book: Book) -> CapStatus:
    spent, held = ledger_rows.balance(ledger.store, bound.key)
    start, end = bound.key.window_start, bound.window_end
    return CapStatus(
        cap=active.cap,
        book=book,
        key=bound.key.scope_key,
        limit=usd(bound.limit),
        spent=usd(spent),
        held=usd(held),
        window_start=datetime.fromtimestamp(start / MICRO, UTC) if end else None,
        window_end=datetime.fromtimestamp(end / MICRO, UTC) if end else None,
        source=bound.source,
    )


def _as_dict(text: str) -> dict[str, object]:
    value = json.loads(text)
    return value if isinstance(value, dict) else {"reason": value}
