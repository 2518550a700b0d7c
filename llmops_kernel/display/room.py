"""How wide a table may be as text: what the reader's terminal has room for."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from llmops_kernel.display.text import one_line, width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDLESS = 0
_MAX_CELL = 60  # characters of a cell where nothing is known of the reader
_MAX_WIDE = 400  # where the reader has the room
_LEAST = 12  # columns that a cell of words keeps
_GAP = 2

# Nothing by default: a notebook's text is the same wherever it is run.
_room: ContextVar[int | None] = ContextVar("llmops_text_room", default=None)


@contextmanager
def text_room(columns: int) -> Iterator[None]:
    """Fit tables to a terminal while this is open.

    Args:
        columns: What it is wide; `ENDLESS` for a file or a pipe, where nothing needs to be cut.
    """
    token = _room.set(columns)
    try:
        yield
    finally:
        _room.reset(token)


def cell_limit() -> int:
    """Return the characters of a cell of text, before a table is fitted."""
    return _MAX_CELL if _room.get() is None else _MAX_WIDE


def fitted(rows: Sequence[Sequence[str]], fixed: Sequence[bool]) -> tuple[list[list[str]], str]:
    """Return a table's cells, cut where the terminal is too narrow for them, and what to say of it.

    Args:
        rows: The cells, with those of the head.
        fixed: For each column whether it is never cut, as those of numbers are.

    Returns:
        The cells, and a line that says that some were cut; "" if none was.
    """
    room = _room.get()
    sizes = [max(width(row[place]) for row in rows) for place in range(len(fixed))]
    whole = [list(row) for row in rows]
    if not room or sum(sizes) + _GAP * (len(sizes) - 1) <= room:
        return whole, ""
    left = room - _GAP * (len(sizes) - 1)
    left -= sum(size for size, keeps in zip(sizes, fixed, strict=True) if keeps)
    words = [size for size, keeps in zip(sizes, fixed, strict=True) if not keeps]
    most = _share(words, left)
    cut = [
        [cell if keeps else _cut(cell, most) for cell, keeps in zip(row, fixed, strict=True)]
        for row in whole
    ]
    if cut == whole:
        return whole, ""
    return cut, (
        f"Cells that end in … were cut: the terminal has {room} columns. A wider one, or a file, "
        "gets them whole."
    )


def _share(sizes: Sequence[int], left: int) -> int:
    """Return the most columns that a cell can have so that all fit; wide ones give way first."""
    most = max(sizes, default=_LEAST)
    while most > _LEAST and sum(min(size, most) for size in sizes) > left:
        most -= 1
    return most


def _cut(text: str, most: int) -> str:
    if width(text) <= most:
        return text
    kept = one_line(text, most)
    while width(kept) > most:  # wide characters take two columns
        kept = one_line(kept, len(kept) - 1)
    return kept
