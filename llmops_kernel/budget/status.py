"""What a person sees of a cap."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from llmops_kernel.settings import Book, Cap

NANO = 1_000_000_000


def usd(nano: int) -> Decimal:
    """Return nano-dollars as exact dollars."""
    return Decimal(nano) / NANO


def nano(dollars: Decimal) -> int:
    """Return dollars as nano-dollars (rounded down: a cap never grows by rounding)."""
    return int(dollars * NANO)


@dataclass(frozen=True, slots=True)
class CapStatus:
    """One cap, in one book, in its current window.

    Attributes:
        cap: The cap as it was configured.
        book: ``real`` or ``simulated``.
        key: The value of the scope that is counted (the user's name, the run's id, ...).
        limit: The bound in force, in dollars (after ``%budget set`` and ``raise``).
        spent: Settled dollars in this window.
        held: Dollars reserved by calls in flight.
        window_start: When the window began (UTC); None for ``total``.
        window_end: When it ends (UTC); None for ``total``.
        source: Where the bound comes from: ``default``, ``settings``, ``argument``, ``run``,
            ``set`` (by ``%budget set``) or ``raised`` (by ``%budget raise``).
    """

    cap: Cap
    book: Book
    key: str
    limit: Decimal
    spent: Decimal
    held: Decimal
    window_start: datetime | None
    window_end: datetime | None
    source: Literal["default", "settings", "argument", "run", "set", "raised"]

    @property
    def remaining(self) -> Decimal:
        """Dollars that can still be reserved; never below zero."""
        return max(self.limit - self.spent - self.held, Decimal(0))

    @property
    def used(self) -> float:
        """Share of the limit that is spent or held (0 to 1, more after an overrun)."""
        if not self.limit:
            return 1.0
        return float((self.spent + self.held) / self.limit)


@dataclass(frozen=True, slots=True)
class LedgerEvent:
    """One row of the append-only event log.

    Attributes:
        kind: ``reserve``, ``settle``, ``release``, ``expire``, ``adjust``, ``refuse``, ``cap``,
            ``stop`` or ``resume``.
        held_nano: Change of what is held, in nano-dollars.
        spent_nano: Change of what is spent, in nano-dollars.
        detail: Usage, price version, reasons; JSON-like.
    """

    id: int
    at: datetime
    kind: str
    hold_id: str
    call_id: str
    book: Book
    held_nano: int
    spent_nano: int
    model: str
    user: str
    notebook: str
    cell_id: str
    run_id: str
    estimated: bool
    detail: dict[str, object]
