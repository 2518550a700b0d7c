"""Tables as semantic HTML and as aligned text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.display.money import UNKNOWN
from llmops_kernel.display.room import cell_limit, fitted
from llmops_kernel.display.text import markup, one_line, pad, printable, shorten, width

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = re.compile(r"[-+<]?\$?\d[\d,.]*( ?(%|ms|s|tok))?")
_MAX_HTML = 2_000  # characters of a cell in HTML
_MAX_TEXT = 60  # characters of a cell in text, where it has one line
# Notebook front ends align every cell to the right, which suits figures only; a style sheet of our
# own would be stripped, a cell's own style is kept.
_LEFT = ' style="text-align:left"'


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that looks different in text and in HTML.

    Attributes:
        text: What the plain table shows.
        html: Trusted HTML; whoever builds it has escaped its values.
    """

    text: str
    html: str


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str
) -> tuple[str, str]:
    """Return a table as HTML and as text.

    The first cell of each row is its header. Columns of words are aligned to the left and columns
    of numbers to the right; in HTML numbers are left to the front end. In text long cells are cut,
    within `text_room` only where there is no room for them; in HTML they are cut later.

    Args:
        columns: The column headers.
        rows: The cells, as many in each row as there are columns. None shows as an en dash; all
            values are escaped, except the HTML of a `Cell`.
        caption: What the table shows.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells in a table of {len(columns)} columns")
    return _html(columns, rows, caption), _plain(columns, rows, caption)


def _html(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    style = ["" if numeric else _LEFT for numeric in _numbers(rows, len(columns))]
    head = "".join(
        f'<th scope="col"{how}>{markup(name)}</th>'
        for how, name in zip(style, columns, strict=True)
    )
    lines = [
        "<table>",
        f"<caption>{markup(caption)}</caption>",
        f"<thead><tr>{head}</tr></thead>",
        "<tbody>",
    ]
    for row in rows:
        first, *rest = (_html_cell(cell) for cell in row)
        cells = "".join(f"<td{how}>{cell}</td>" for how, cell in zip(style[1:], rest, strict=True))
        lines.append(f'<tr><th scope="row"{style[0]}>{first}</th>{cells}</tr>')
    if not rows:
        lines.append(f'<tr><td colspan="{len(columns)}"{_LEFT}>none</td></tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def _html_cell(cell: object) -> str:
    if isinstance(cell, Cell):
        return cell.html
    return markup(UNKNOWN if cell is None else shorten(printable(cell), _MAX_HTML))


def _plain(columns: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> str:
    right = _numbers(rows, len(columns))
    limit = cell_limit()
    cells = [[_plain_cell(cell, limit) for cell in row] for row in rows]
    head = [one_line(name, _MAX_TEXT) for name in columns]
    (head, *cells), note = fitted([head, *cells], right)
    sizes = [max(width(row[i]) for row in [head, *cells]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        parts = [pad(row[i], sizes[i], right=right[i]) for i in range(len(row))]
        return "  ".join(parts).rstrip()

    lines = [printable(caption), line(head), "  ".join("-" * size for size in sizes)]
    lines.extend(line(row) for row in cells)
    if not rows:
        lines.append("none")
    if note:
        lines.append(note)
    return "\n".join(lines)


def _plain_cell(cell: object, limit: int = _MAX_TEXT) -> str:
    if cell is None:
        return UNKNOWN
    return one_line(cell.text if isinstance(cell, Cell) else cell, limit)


def _numbers(rows: Sequence[Sequence[object]], columns: int) -> list[bool]:
    """Whether each column holds nothing but numbers."""
    return [_numeric([_plain_cell(row[place]) for row in rows]) for place in range(columns)]


def _numeric(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell not in ("", UNKNOWN)]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)
