"""Which caps bound a call, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmops_kernel.budget.status import nano
from llmops_kernel.budget.windows import window_bounds
from llmops_kernel.store.ledger_rows import BalanceKey, Control

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.settings import Book, Cap

CapSource = Literal["default", "settings", "argument", "run"]
LimitSource = Literal["default", "settings", "argument", "run", "set", "raised"]

# What is written in `Control.window_start` for a limit that holds in every window.
EVERY_WINDOW = -1


@dataclass(frozen=True, slots=True)
class ActiveCap:
    """A cap in force, and who put it there."""

    cap: Cap
    source: CapSource = "settings"

    @property
    def fixed(self) -> bool:
        """Whether ``%budget set`` and ``raise`` leave it alone.

        A bound that a program or a run was started with must not be lifted from inside.
        """
        return self.source in ("argument", "run")


@dataclass(frozen=True, slots=True)
class Scopes:
    """The values of all scopes for one call."""

    user: str
    project: str
    notebook: str
    run: str
    tenant: str
    model: str = ""
    model_name: str = ""  # with its provider, for caps that name one

    def value(self, cap: Cap) -> str | None:
        """Return what the cap counts under, or None when it is not about this call."""
        value: str = getattr(self, cap.scope)
        if cap.key is None:
            return value
        if cap.key == value or (cap.scope == "model" and cap.key == self.model_name):
            return cap.key
        return None


@dataclass(frozen=True, slots=True)
class Bound:
    """One balance that a call must fit into.

    Attributes:
        limit: The limit in force, in nano-dollars.
        source: Where the limit comes from.
        window_end: End of the window (microseconds); 0 for none.
    """

    key: BalanceKey
    limit: int
    source: LimitSource
    active: ActiveCap
    window_end: int


def bounds(
    caps: Sequence[ActiveCap],
    scopes: Scopes,
    book: Book,
    controls: Iterable[Control],
    at: int,
    zone: str,
) -> list[Bound]:
    """Return the bounds of a call, one per balance, in a fixed order.

    The order is the same in every process, so that two reservations cannot lock each other out
    on PostgreSQL. Where several caps meet in one balance, the lowest limit counts.
    """
    found: dict[BalanceKey, Bound] = {}
    limits = {
        (row.scope, row.scope_key, row.window_kind, row.window_start): row.limit_nano
        for row in controls
        if row.kind == "cap"
    }
    for active in caps:
        value = scopes.value(active.cap)
        if value is None:
            continue
        start, end = window_bounds(active.cap.window, at, zone)
        key = BalanceKey(active.cap.scope, value, active.cap.window, start, book)
        limit, source = _limit(active, key, limits)
        known = found.get(key)
        if known is None or limit < known.limit:
            found[key] = Bound(key, limit, source, active, end)
    return [found[key] for key in sorted(found)]


def _limit(
    active: ActiveCap, key: BalanceKey, limits: dict[tuple[str, str, str, int], int]
) -> tuple[int, LimitSource]:
    place = (key.scope, key.scope_key, key.window_kind)
    if active.source == "run" and limits:
        # A run may be held shorter from inside it, never longer.
        lower = limits.get((*place, EVERY_WINDOW))
        if lower is not None and lower < nano(active.cap.usd):
            return lower, "set"
    if not active.fixed and limits:
        if (raised := limits.get((*place, key.window_start))) is not None and key.window_start:
            return raised, "raised"
        if (everywhere := limits.get((*place, EVERY_WINDOW))) is not None:
            return everywhere, "set"
    return nano(active.cap.usd), active.source
