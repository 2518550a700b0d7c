"""Static tables, moved out of the system prompt: each question gets the rows it needs.

A price list in the system prompt is read, and paid for, at every question. Its rows are passages
like any others: found by the question's words, or by an index.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.prompts.compress.protect import frozen_spans
from llmops_kernel.prompts.compress.ranking import bm25

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llmops_kernel.prompts.compress.ranking import Rank

_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*)")
_LEAST_ROWS = 3
_OF_TITLE = 0.5
_INTRODUCTION = "Rows of the tables that may matter to the question:"


@dataclass(frozen=True, slots=True)
class TablePassage:
    """A table that was moved out.

    Attributes:
        title: The heading above it; "" without one.
        header: Its first lines, as they stood.
        rows: Its rows, as they stood.
    """

    title: str
    header: str
    rows: tuple[str, ...]

    def told(self, numbers: Sequence[int]) -> str:
        """Return some of its rows as a table of their own."""
        named = [f"## {self.title}"] if self.title else []
        head = [self.header] if self.header else []
        return "\n".join([*named, *head, *(self.rows[number] for number in sorted(numbers))])


def move_tables(system: str, keep: Collection[str] = ()) -> tuple[str, tuple[TablePassage, ...]]:
    """Move the tables out of a system prompt.

    Markdown tables and blocks of comma-separated lines with a header count, from three rows on.
    A note stays in the place of each.

    Args:
        system: The prompt.
        keep: Headings of tables that stay.

    Returns:
        The prompt without them, and the tables in order.
    """
    lines = system.split("\n")
    frozen = _frozen_lines(system)
    kept: list[str] = []
    moved: list[TablePassage] = []
    title = ""
    at = 0
    while at < len(lines):
        if heading := _HEADING.match(lines[at]):
            title = heading[1].strip()
        end, header = _table_at(lines, at, frozen)
        if end - at - header >= _LEAST_ROWS and title not in keep:
            rows = tuple(lines[at + header : end])
            moved.append(TablePassage(title, "\n".join(lines[at : at + header]), rows))
            named = f' "{title}"' if title else ""
            kept.append(f"(Table{named}: the rows that matter come with the question.)")
        else:
            end = max(end, at + 1)
            kept += lines[at:end]
        at = end
    return ("\n".join(kept), tuple(moved)) if moved else (system, ())


def find_rows(
    tables: Sequence[TablePassage],
    question: str,
    *,
    budget: int,
    most: int = 12,
    rank: Rank | None = None,
) -> str:
    """Return the rows that matter to a question, as tables; "" where none does.

    Args:
        tables: Where to look.
        question: What will be asked.
        budget: Tokens the rows may have, with their headings.
        most: How many rows at most.
        rank: Scores passages against the question, 0 and up (default: BM25).
    """
    places = [(t, n) for t, each in enumerate(tables) for n in range(len(each.rows))]
    score = rank or bm25
    own = score(question, [tables[t].rows[n] for t, n in places])
    titles = score(question, [f"{each.title}\n{each.header}" for each in tables])
    titled = [_OF_TITLE * each for each in titles]
    ranked = sorted(zip(own, places, strict=True), key=lambda r: (-r[0] - titled[r[1][0]], r[1]))
    chosen: dict[int, list[int]] = {}
    text = ""
    for value, (table, row) in ranked:
        if value <= 0 or sum(map(len, chosen.values())) >= most:
            continue
        trial = {**chosen, table: [*chosen.get(table, ()), row]}
        told = _told(tables, trial)
        if count_tokens(told) <= budget:
            chosen, text = trial, told
    return text


def _told(tables: Sequence[TablePassage], chosen: dict[int, list[int]]) -> str:
    parts = [tables[number].told(chosen[number]) for number in sorted(chosen)]
    return "\n\n".join([_INTRODUCTION, *parts])


def _table_at(lines: list[str], at: int, frozen: set[int]) -> tuple[int, int]:
    """Return where a table that begins at a line ends, and how many lines its header has."""
    if at + 1 < len(lines) and "|" in lines[at] and _RULE.match(lines[at + 1]):
        end = at + 2
        while end < len(lines) and "|" in lines[end] and end not in frozen:
            end += 1
        return (end, 2) if at not in frozen else (at, 0)
    columns = _columns(lines[at])
    end = at
    while columns >= 2 and end < len(lines) and end not in frozen:
        if _columns(lines[end]) != columns:
            break
        end += 1
    return (end, 1) if end - at > _LEAST_ROWS else (at, 0)


def _columns(line: str) -> int:
    """Return how many commas a line of separated values has; 0 for prose."""
    bare = re.sub(r"\"[^\"]*\"", "", line)
    if ", " in bare or not bare.strip() or bare.lstrip().startswith(("-", "*", "#", "|", "{", "[")):
        return 0
    return bare.count(",")


def _frozen_lines(text: str) -> set[int]:
    found: set[int] = set()
    for start, end in frozen_spans(text):
        if "\n" in text[start:end] or text[start : start + 6].lower() == "<keep>":
            first = text.count("\n", 0, start)
            found |= set(range(first, first + text.count("\n", start, end) + 1))
    return found
