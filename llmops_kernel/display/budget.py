"""Caps with what is spent of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import dollars, percent
from llmops_kernel.display.table import Cell, table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from llmops_kernel.budget.status import CapStatus

_COLUMNS = ("Cap", "Book", "Used", "Spent", "Held", "Remaining", "Resets", "Source")


def budget_view(statuses: Sequence[CapStatus], *, stopped: str | None = None) -> View:
    """Build the table of caps, one row per cap and book, each with a meter and its figures in text.

    Real and simulated dollars are books of their own and are never added up.

    Args:
        statuses: The caps in their current windows.
        stopped: The reason spending was stopped with ("" for none given); None when it was not.
    """
    rows = [
        (
            _name(status),
            status.book,
            _used(status),
            dollars(status.spent),
            dollars(status.held),
            dollars(status.remaining),
            _moment(status.window_end),
            status.source,
        )
        for status in statuses
    ]
    html, plain = table(_COLUMNS, rows, "Budget")
    if stopped is not None:
        notice = "All spending is stopped" + (f": {printable(stopped)}" if stopped else "")
        html = f"<p><strong>{markup(notice)}</strong></p>\n{html}"
        plain = f"{notice}\n\n{plain}"
    return view(html, plain, {"stopped": stopped, "caps": [_facts(s) for s in statuses]})


def _name(status: CapStatus) -> str:
    scope = f"{status.cap.scope} {status.key}".rstrip()
    return (
        f"{scope}, in total"
        if status.cap.window == "total"
        else f"{scope}, per {status.cap.window}"
    )


def _used(status: CapStatus) -> Cell:
    text = f"{percent(status.used)} of {dollars(status.limit)}"
    share = min(max(status.used, 0.0), 1.0)
    # The title is the meter's accessible name: notebook sanitizers keep it and drop aria-*.
    # Viewers without meters drop the empty element and keep the text.
    meter = f'<meter min="0" max="1" high="0.8" value="{share:.4f}" title="{markup(text)}"></meter>'
    return Cell(text, f"{meter} {markup(text)}")


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "never"


def _facts(status: CapStatus) -> dict[str, Any]:
    return {
        "scope": status.cap.scope,
        "window": status.cap.window,
        "key": status.key,
        "book": status.book,
        "limit": f"{status.limit:f}",
        "spent": f"{status.spent:f}",
        "held": f"{status.held:f}",
        "remaining": f"{status.remaining:f}",
        "resets": status.window_end,
        "source": status.source,
    }
