"""The ledger: reserve before, settle after, both all or nothing.

A reservation is one transaction over every cap that bounds the call: it reads the stops, adds the
worst case to what each balance holds (only where it fits), and writes hold and event. Settlement
closes the hold exactly once and moves its amount from held to spent. What a dead process left
open is closed by `reaper`. Nothing here knows about models or HTTP.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from llmops_kernel.budget.alerts import crossed_steps
from llmops_kernel.budget.caps import ActiveCap, Bound, Scopes, bounds
from llmops_kernel.budget.refusals import budget_exceeded, stop_for
from llmops_kernel.budget.windows import MICRO
from llmops_kernel.errors import BudgetExceeded, StoreError
from llmops_kernel.store import Lease, ledger_rows
from llmops_kernel.store.ledger_rows import EventRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.settings import Book
    from llmops_kernel.store import Store, Tx

# Clocks of machines that share a record differ a little; more is a clock that was set back.
_CLOCK_SLACK = 300 * MICRO
_HEARTBEAT = 10 * MICRO


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call really cost.

    Attributes:
        nano: Nano-dollars.
        estimated: Whether we counted because the provider did not.
        detail: Further facts for the event log (JSON-like).
    """

    nano: int
    input_tokens: int = 0
    output_tokens: int = 0
    estimated: bool = False
    detail: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one attempt of a call."""

    hold_id: str
    call_id: str
    book: Book
    amount: int
    bounds: tuple[Bound, ...]
    balances: str
    model: str
    price_version: str
    labels: tuple[str, str, str, str, str]


class Ledger:
    """Reservations and settlements of one process.

    Args:
        store: The durable record.
        caps: The caps in force.
        zone: Time zone of the windows.
        clock: Seconds since the epoch; for tests.
    """

    def __init__(
        self,
        store: Store,
        caps: Sequence[ActiveCap],
        *,
        zone: str = "UTC",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.caps = tuple(caps)
        self.zone = zone
        self.lease = Lease.mine()
        self._clock = clock
        self._newest = ledger_rows.last_event_time(store)
        self._heartbeat = 0
        self._refused: set[tuple[str, int]] = set()

    def now(self) -> int:
        """Return the time in microseconds.

        Raises:
            StoreError: The clock runs behind the record: a window could be counted twice.
        """
        at = int(self._clock() * MICRO)
        if at < self._newest - _CLOCK_SLACK:
            raise StoreError(
                "The clock of this machine went backwards, so nothing is spent",
                detail=f"It is {(self._newest - at) // MICRO} s behind the newest entry",
                hint="Set the clock right (the record itself is in order)",
            )
        self._newest = max(self._newest, at)
        return at

    def reserve(
        self,
        hold_id: str,
        scopes: Scopes,
        *,
        amount: int,
        book: Book,
        model: str,
        call_id: str = "",
        price_version: str = "",
        cell_id: str = "",
        seconds: float = 120.0,
        dispatched: bool = True,
        note: bool = True,
    ) -> Hold:
        """Set the worst case of a call aside, in all its caps at once.

        Args:
            hold_id: Unique per attempt; reserving the same id again holds nothing more.
            scopes: Whose caps bound the call.
            book: ``real`` or ``simulated``.
            model: The model's full name, for the log.
            call_id: The call that this is an attempt of.
            price_version: Which prices the worst case was computed from.
            cell_id: The notebook cell that called.
            amount: Worst case in nano-dollars. Zero passes every cap (never a stop).
            seconds: How long the call may take; after that (and a grace) the hold is a dead one.
            dispatched: Whether the request leaves at once. If not, call `mark_dispatched` before
                it does: a hold whose owner died is charged if dispatched and released if not.
            note: Whether a refusal is logged; not where a smaller amount is tried next.

        Raises:
            BudgetExceeded: A cap would be passed.
            SpendingStopped: Somebody stopped spending.
            StoreError: The record cannot be written, or the clock went backwards.
        """
        at = self.now()
        labels = (scopes.user, scopes.notebook, cell_id, scopes.run, scopes.tenant)
        try:
            with self.store.transaction() as tx:
                controls = ledger_rows.controls(tx)
                stop_for(controls, scopes)
                wanted = bounds(self.caps, scopes, book, controls, at, self.zone) if amount else []
                for bound in wanted:
                    if not ledger_rows.try_hold(tx, bound.key, amount, bound.limit):
                        spent, held = ledger_rows.balance(tx, bound.key)
                        raise budget_exceeded(bound, spent, held, amount)
                keys = json.dumps([bound.key.text for bound in wanted])
                hold = Hold(
                    hold_id,
                    call_id,
                    book,
                    amount,
                    tuple(wanted),
                    keys,
                    model,
                    price_version,
                    labels,
                )
                self._write_hold(tx, hold, at, seconds, dispatched=dispatched)
        except BudgetExceeded as refusal:
            if note:
                self._note_refusal(refusal, hold_id, call_id, model, labels, at)
            raise
        return hold

    def mark_dispatched(self, hold: Hold) -> None:
        """Note, before it happens, that the request leaves this machine."""
        with self.store.transaction() as tx:
            if not ledger_rows.mark_dispatched(tx, hold.hold_id):
                raise StoreError(
                    "The reservation of this call was closed before it was sent",
                    hint="Call again; nothing was spent",
                )

    def settle(self, hold: Hold, charge: Charge) -> None:
        """Close a hold at what the call cost; a second time does nothing.

        Never fails the call it belongs to: if the record cannot be written, the hold stays in
        force (the money stays counted) and settlement is tried again with the next reservation,
        which fails if it does.
        """
        self.settle_soon(hold, charge)
        self.store.flush()

    def settle_soon(self, hold: Hold, charge: Charge) -> None:
        """Close a hold with the next write or read of this process, whichever is first.

        Spares a transaction where calls follow each other: a settlement goes into the next call's
        reservation. Until then the whole hold counts, here and elsewhere, so waiting can refuse a
        call but never let one through.
        """
        self.store.defer_work(partial(self._settle, hold, charge))

    def release(self, hold: Hold, reason: str) -> None:
        """Close a hold of a call that cost nothing."""
        self.settle(hold, Charge(0, detail={"released": reason}))

    def headroom(self, scopes: Scopes, book: Book) -> int | None:
        """Return the nano-dollars all caps leave for a call; None when no cap bounds it."""
        controls = ledger_rows.controls(self.store)
        left: int | None = None
        for bound in bounds(self.caps, scopes, book, controls, self.now(), self.zone):
            spent, held = ledger_rows.balance(self.store, bound.key)
            free = max(bound.limit - spent - held, 0)
            left = free if left is None else min(left, free)
        return left

    def heartbeat(self) -> None:
        """Show other machines that this process lives; call it every few seconds."""
        at = self.now()
        if self._heartbeat and at - self._heartbeat >= _HEARTBEAT:
            with self.store.transaction() as tx:
                ledger_rows.put_lease(tx, self.lease, at)
            self._heartbeat = at
        self.store.write_waiting()

    def _write_hold(self, tx: Tx, hold: Hold, at: int, seconds: float, *, dispatched: bool) -> None:
        if not self._heartbeat:
            ledger_rows.put_lease(tx, self.lease, at)
            self._heartbeat = at
        added = ledger_rows.add_hold(
            tx,
            hold.hold_id,
            hold.call_id,
            self.lease.lease_id,
            hold.book,
            hold.amount,
            dispatched=dispatched,
            balances=hold.balances,
            model=hold.model,
            price_version=hold.price_version,
            labels=json.dumps(hold.labels),
            created=at,
            expires=at + int(seconds * MICRO) + 30 * MICRO,
        )
        if not added:
            # Raised inside the transaction, so the second reservation is rolled back whole.
            raise StoreError(
                "This call is reserved already", detail=hold.hold_id, hint="Use a new call id"
            )
        ledger_rows.append(
            tx,
            EventRow(
                at,
                "reserve",
                hold.hold_id,
                hold.call_id,
                hold.book,
                held=hold.amount,
                balances=hold.balances,
                model=hold.model,
                labels=hold.labels,
            ),
        )

    def _settle(self, hold: Hold, charge: Charge, tx: Tx) -> None:
        # A clock that was set back refuses what would spend, not the booking of what was spent.
        at = max(self._newest, int(self._clock() * MICRO))
        taken = ledger_rows.take_hold(tx, hold.hold_id)
        if taken is None:
            return  # settled before
        # Somebody thought us dead and charged the whole amount: book the difference only.
        lost = taken.state == "lost"
        back = 0 if lost else hold.amount
        spent = charge.nano - hold.amount if lost else charge.nano
        released = bool(charge.detail and "released" in charge.detail)
        kind = "adjust" if lost else "release" if released else "settle"
        detail = dict(charge.detail or {})
        detail["price"] = hold.price_version
        if charge.nano > hold.amount:
            detail["overrun"] = charge.nano - hold.amount
        for bound in hold.bounds:
            after = ledger_rows.move(tx, bound.key.text, -back, spent)
            crossed_steps(tx, bound, after[0], spent, at)
        ledger_rows.append(
            tx,
            EventRow(
                at,
                kind,
                hold.hold_id,
                hold.call_id,
                hold.book,
                held=-back,
                spent=spent,
                balances=hold.balances,
                model=hold.model,
                labels=hold.labels,
                input_tokens=charge.input_tokens,
                output_tokens=charge.output_tokens,
                estimated=charge.estimated,
                detail=json.dumps(detail, default=str),
            ),
        )

    def _note_refusal(
        self,
        refusal: BudgetExceeded,
        hold_id: str,
        call_id: str,
        model: str,
        labels: tuple[str, str, str, str, str],
        at: int,
    ) -> None:
        """Log the first refusal per cap and limit; a loop that keeps asking fills no log."""
        mark = (f"{refusal.book}{refusal.scope}{refusal.window}", refusal.limit)
        if mark in self._refused:
            return
        self._refused.add(mark)
        detail = {"scope": refusal.scope, "window": refusal.window, "needed": refusal.needed}
        with self.store.transaction() as tx:
            ledger_rows.append(
                tx,
                EventRow(
                    at,
                    "refuse",
                    hold_id,
                    call_id,
                    refusal.book,
                    model=model,
                    labels=labels,
                    detail=json.dumps(detail),
                ),
            )
