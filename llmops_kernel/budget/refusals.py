"""The sentences with which the ledger refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd
from llmops_kernel.budget.windows import MICRO
from llmops_kernel.errors import BudgetExceeded, SpendingStopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmops_kernel.budget.caps import Bound, Scopes
    from llmops_kernel.store.ledger_rows import Control

# The scope of a stop that holds for every user of the record.
EVERYBODY = "all"


def stop_for(controls: Iterable[Control], scopes: Scopes) -> None:
    """Raise `SpendingStopped` if a stop is about this call."""
    for row in controls:
        if row.kind != "stop":
            continue
        if row.scope == EVERYBODY or getattr(scopes, row.scope, None) == row.scope_key:
            raise SpendingStopped(
                "All spending was stopped",
                detail=f"Reason: {row.reason}" if row.reason else "",
                hint="%budget resume (or `llmops budget resume`) allows calls again",
            )


def budget_exceeded(bound: Bound, spent: int, held: int, needed: int) -> BudgetExceeded:
    """Return the refusal of a call that does not fit into a cap."""
    cap = bound.active.cap
    book = "simulated " if bound.key.book == "simulated" else ""
    window = {"total": "", "hour": "hourly ", "day": "daily ", "month": "monthly "}[cap.window]
    figures = (
        f"{dollars(bound.limit)} {book}cap, {dollars(spent)} spent, {dollars(held)} held by calls "
        f"in flight, this call could cost {dollars(needed)}"
    )
    if bound.window_end:
        ends = datetime.fromtimestamp(bound.window_end // MICRO, UTC)
        figures += f"; a new window begins {ends:%Y-%m-%d %H:%M} UTC"
    return BudgetExceeded(
        f"The {window}cap of this {cap.scope} is used up",
        scope=cap.scope,
        window=cap.window,
        book=bound.key.book,
        limit=bound.limit,
        spent=spent,
        held=held,
        needed=needed,
        detail=figures,
        hint=_way_out(bound),
    )


def dollars(nano: int) -> str:
    """Return nano-dollars as ``$1.25``, with at least two and as many digits as it takes."""
    text = f"{usd(nano):.9f}".rstrip("0")
    whole, _, digits = text.partition(".")
    return f"${whole}.{digits.ljust(2, '0')}"


def _way_out(bound: Bound) -> str:
    cap = bound.active.cap
    if bound.active.source == "run":
        return "Give the run more with --budget, or make it call less (shorter, cheaper, cached)"
    if bound.active.source == "argument":
        return "The cap was given in code: raise it there, or use a cheaper model or max_tokens"
    scope = "" if cap.scope == "user" else f" --scope {cap.scope}"
    return (
        f"%budget raise 1.00 --per {cap.window}{scope} allows more in this window; "
        "a smaller max_tokens or a cheaper model may still fit"
    )
