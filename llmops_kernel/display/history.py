"""The ledger's events, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import nano_dollars
from llmops_kernel.display.table import table
from llmops_kernel.display.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.budget.status import LedgerEvent

_COLUMNS = ("Time (UTC)", "Event", "Book", "Held", "Spent", "Model", "Where", "Note")
_REASONS = {
    "reason": "",
    "usage": "usage ",
    "released": "not sent: ",
    "uncertain": "charged in full: ",
}


def history_view(events: Sequence[LedgerEvent], *, caption: str = "Ledger") -> View:
    """Build a table of ledger events, in the order given.

    The amounts are changes: a call first holds its worst case, then gives the hold back and spends
    what it cost.
    """
    rows = [
        (
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            event.kind,
            event.book,
            _change(event.held_nano),
            _change(event.spent_nano),
            event.model,
            _where(event),
            _note(event),
        )
        for event in events
    ]
    html, plain = table(_COLUMNS, rows, caption)
    facts = [
        {
            "id": event.id,
            "at": event.at,
            "kind": event.kind,
            "call_id": event.call_id,
            "book": event.book,
            "held_nano": event.held_nano,
            "spent_nano": event.spent_nano,
            "model": event.model,
            "cell_id": event.cell_id,
            "run_id": event.run_id,
            "estimated": event.estimated,
        }
        for event in events
    ]
    return view(html, plain, {"events": facts})


def _change(nano: int) -> str | None:
    return nano_dollars(nano, signed=True) if nano else None


def _where(event: LedgerEvent) -> str:
    notebook = event.notebook.replace("\\", "/").rsplit("/", 1)[-1]
    return " ".join(part for part in (notebook, event.cell_id and f"[{event.cell_id}]") if part)


def _note(event: LedgerEvent) -> str:
    detail = event.detail
    parts = ["estimated"] if event.estimated else []
    if "scope" in detail and "window" in detail:  # of a cap that was changed, or that refused
        parts.append(f"{detail['scope']}, per {detail['window']}: {_bound(detail)}")
    if (ending := detail.get("ending", "complete")) != "complete":
        parts.append(str(ending))
    parts.extend(f"{words}{detail[name]}" for name, words in _REASONS.items() if detail.get(name))
    if isinstance(over := detail.get("overrun"), int):
        parts.append(f"{nano_dollars(over)} over its hold")
    return one_line("; ".join(parts), 200)


def _bound(detail: Mapping[str, object]) -> str:
    needed = detail.get("needed")
    return f"needed {nano_dollars(needed)}" if isinstance(needed, int) else str(detail.get("limit"))
