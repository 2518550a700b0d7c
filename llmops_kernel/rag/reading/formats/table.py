"""Tables as Markdown, which people and models read alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table whose first row is its head; "" without any text.

    A table of one column is layout: its cells become paragraphs.
    """
    held = [row for row in rows if any(cell.strip() for cell in row)]
    if not held:
        return ""
    width = max(map(len, held))
    if width == 1:
        return "\n\n".join(row[0].strip() for row in held)
    lines = [_line(row, width) for row in held]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _line(row: Sequence[str], width: int) -> str:
    cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"
