"""CSV and TSV: each row a block of "column: value" lines."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from llmops_kernel.rag.reading.decode import decode
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.unreadable import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLE = 20_000  # characters that the separator is guessed from
_SEPARATORS = ",;\t|"
_NONE = "\x1f"  # for one column: a comma in it separates nothing


def parse(raw: Raw) -> Parsed:
    """Return a table's rows as text, with a blank line between them.

    The first row gives the columns' names when it holds different words and no numbers; otherwise
    they are "column 1", "column 2", ... Empty cells are left out.
    """
    text = decode(raw.data, raw.charset)
    rows = _rows(text, "\t" if raw.name.lower().endswith((".tsv", ".tab")) else _separator(text))
    first = next(rows, [])
    blocks: list[str] = []
    if _is_head(first):
        columns = first
    else:
        columns = []
        blocks.append(_block(first, columns))
    blocks.extend(_block(row, columns) for row in rows)
    if not any(blocks) and columns:
        blocks = [", ".join(columns)]  # a head without rows
    metadata = {"rows": sum(bool(block) for block in blocks)}
    return Parsed("\n\n".join(filter(None, blocks)), "csv", metadata=dict(metadata))


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                yield cells
    except csv.Error as error:
        raise Unfit("damaged", f"line {reader.line_num:,}: {error}") from error


def _separator(text: str) -> str:
    """The separator that divides the first lines most alike; csv.Sniffer falls for quoted text."""
    lines = [line for line in text[:_SAMPLE].splitlines() if line.strip()][:50]
    best = (0.0, _NONE)
    for separator in _SEPARATORS:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        if not counts or max(counts) < 2:
            continue
        usual = max(set(counts), key=lambda count: (counts.count(count), count))
        alike = counts.count(usual) / len(counts)
        if usual > 1 and alike > best[0]:
            best = (alike, separator)
    return best[1]


def _is_head(row: list[str]) -> bool:
    # The first cell may be empty: tables written with their row numbers have no name for those.
    return (
        bool(row) and len(set(row)) == len(row) and all(row[1:]) and not any(map(_is_number, row))
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell.strip("%$\u20ac\u00a3 ").replace(",", "."))
    except ValueError:
        return False
    return True


def _block(row: list[str], columns: list[str]) -> str:
    names = [name or f"column {at}" for at, name in enumerate(columns, start=1)]
    return "\n".join(
        f"{names[at] if at < len(names) else f'column {at + 1}'}: {cell}"
        for at, cell in enumerate(row)
        if cell
    )
