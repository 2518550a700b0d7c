"""Alerts: somebody is told once per window when a cap is nearly used up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd
from llmops_kernel.store import ledger_rows

if TYPE_CHECKING:
    from llmops_kernel.budget.caps import Bound
    from llmops_kernel.store import Tx


def crossed_steps(tx: Tx, bound: Bound, spent: int, change: int, at: int) -> None:
    """Record the alert steps that a change of what is spent has passed.

    The rows are unique per balance and step, so each fires once, whichever process settles. A
    limit that was raised later is not alerted again for the same step.

    ``spent`` is what is spent after the ``change``, both in nano-dollars.
    """
    if change <= 0 or bound.limit <= 0:
        return
    cap = bound.active.cap
    share, before = spent * 100, (spent - change) * 100
    for step in cap.alert:
        if before < step * bound.limit <= share:
            ledger_rows.fire_alert(
                tx, bound.key.text, step, _sentence(bound, spent, step), json.dumps(cap.notify), at
            )


def _sentence(bound: Bound, spent: int, step: int) -> str:
    cap, key = bound.active.cap, bound.key
    book = "simulated " if key.book == "simulated" else ""
    window = "" if cap.window == "total" else f" this {cap.window}"
    whose = f"{cap.scope} {key.scope_key}".strip()
    return (
        f"{step} % of the {book}cap of {whose} is used: "
        f"${usd(spent):.4f} of ${usd(bound.limit):.2f}{window}"
    )
