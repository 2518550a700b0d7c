"""Closes what dead processes left open.

A hold whose owner died is charged in full if its request had left (the provider may bill it) and
released if not. A process of this machine is dead when its number, start and boot say so; one of
another machine is presumed dead when its heartbeat stopped and the call's time is over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llmops_kernel.budget.windows import MICRO
from llmops_kernel.store import Lease, ledger_rows, span_rows
from llmops_kernel.store.ledger_rows import EventRow

if TYPE_CHECKING:
    from llmops_kernel.budget.ledger import Ledger

# A machine that has not shown itself for this long, past the end of its call.
_SILENCE = 60 * MICRO


def reap(ledger: Ledger) -> int:
    """Close the holds and spans of dead owners; return how many holds were closed.

    Any process may do this at any time: a hold leaves the state ``held`` exactly once.
    """
    at = ledger.now()
    closed = 0
    for hold_id, dispatched, expires, lease_id, *owner, heartbeat in ledger_rows.open_holds(
        ledger.store
    ):
        if lease_id == ledger.lease.lease_id:
            # Ours, and long over: a settlement was lost. The money may be spent.
            dead = at > expires + _SILENCE
        else:
            known = Lease(lease_id, *owner).is_dead()
            dead = at > max(expires, heartbeat) + _SILENCE if known is None else known
        if dead:
            closed += _close(ledger, hold_id, at, charged=bool(dispatched))
    for lease_id, *owner in span_rows.running(ledger.store):
        if lease_id != ledger.lease.lease_id and Lease(lease_id, *owner).is_dead():
            with ledger.store.transaction() as tx:
                span_rows.interrupt(tx, lease_id)
    return closed


def _close(ledger: Ledger, hold_id: str, at: int, *, charged: bool) -> int:
    with ledger.store.transaction() as tx:
        hold = (ledger_rows.lose_hold if charged else ledger_rows.take_hold)(tx, hold_id)
        if hold is None or (not charged and hold.state == "lost"):
            return 0
        spent = hold.amount if charged else 0
        for key in sorted(json.loads(hold.balances)):
            ledger_rows.move(tx, key, -hold.amount, spent)
        ledger_rows.append(
            tx,
            EventRow(
                at,
                "expire",
                hold_id,
                hold.call_id,
                hold.book,
                held=-hold.amount,
                spent=spent,
                balances=hold.balances,
                model=hold.model,
                labels=json.loads(hold.labels),
                estimated=charged,
                detail=json.dumps({"reason": "the process that made this call died"}),
            ),
        )
    return 1
