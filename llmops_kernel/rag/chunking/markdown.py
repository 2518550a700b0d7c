"""The default chunker: along headings, paragraphs, lists, tables and code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking.cutting import cut, reach_back, span_of
from llmops_kernel.rag.chunking.units import markdown_units
from llmops_kernel.rag.chunking.words import Span, Words
from llmops_kernel.rag.documents import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.rag.chunking.outline import Section
    from llmops_kernel.rag.chunking.units import Unit
    from llmops_kernel.rag.documents import Document

# A section of less than this share of a chunk is joined to its neighbours.
_SMALL = 6
# Rows of a table file are chunks of about this share, so that few rows share a vector.
_ROWS = 4
# Tokens of a title and headings that fit beside a whole chunk into what the embedder reads; what
# they have above that, their chunks have less.
_ABOVE = 16


@dataclass(frozen=True, slots=True)
class MarkdownChunker:
    """Sections, cut where it harms least.

    A section that fits is a chunk. A longer one is cut between paragraphs, items and rows before
    sentences, and never right after its heading or a table's head. Small neighbours are joined.

    Attributes:
        size: Most tokens of a chunk.
        overlap: Most tokens that a chunk repeats from the one before within its section.
    """

    size: int
    overlap: int
    name: str = "markdown"

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        return f"markdown/1 size={self.size} overlap={self.overlap}"

    def split(self, document: Document) -> list[Passage]:
        """Return sections and parts of sections, with the headings above them."""
        words = Words(document.text)
        budget = max(1, self.size - self.overlap)
        if document.media == "csv":
            budget = max(1, min(budget, self.size // _ROWS))
        sections, units = markdown_units(words, document.media, budget)
        title = count_tokens(document.title)
        return [
            Passage(*words.place(span), heading=heading)
            for span, heading, _ in cut_sections(
                words,
                sections,
                units,
                budget,
                title=title,
                overlap=self.overlap,
                small=self.size // _SMALL,
            )
        ]


def cut_sections(
    words: Words,
    sections: Sequence[Section],
    units: Sequence[Unit],
    size: int,
    *,
    title: int = 0,
    overlap: int = 0,
    small: int = 0,
) -> Iterator[tuple[Span, str, range]]:
    """Yield chunks in order: words, headings above, and the units that are its own.

    Args:
        words: The text.
        sections: All its sections.
        units: The units to group, in order, of one or more sections.
        size: Most tokens of a chunk, without what it repeats.
        title: Tokens of the document's title, which is embedded with each chunk.
        overlap: Most tokens that a chunk repeats from the one before.
        small: Sections of fewer tokens are joined to their neighbours where both fit.
    """
    for run in _join(words, sections, units, size, small):
        own = units[run.start : run.stop]
        path = sections[own[-1].section].path
        above = title + sum(map(count_tokens, path))
        groups = cut(own, words, max(size // 2, size - max(0, above - _ABOVE)))
        for group, reached in zip(groups, reach_back(own, groups, words, overlap), strict=True):
            yield (
                span_of(own, reached),
                shared_headings(sections, {own[at].section for at in group}),
                range(run.start + group.start, run.start + group.stop),
            )


def _join(
    words: Words, sections: Sequence[Section], units: Sequence[Unit], size: int, small: int
) -> list[range]:
    """Runs of units that are cut together: one section, or small neighbours of one chapter."""
    runs: list[range] = []
    at = 0
    while at < len(units):
        end = at
        while end < len(units) and units[end].section == units[at].section:
            end += 1
        if runs and _belong(words, sections, units, runs[-1], range(at, end), size, small):
            runs[-1] = range(runs[-1].start, end)
        else:
            runs.append(range(at, end))
        at = end
    return runs


def _belong(
    words: Words,
    sections: Sequence[Section],
    units: Sequence[Unit],
    before: range,
    after: range,
    size: int,
    small: int,
) -> bool:
    """Whether a run and the section after it are cut as one."""
    last, own = sections[units[before.stop - 1].section], sections[units[after.start].section]
    if last.bare and len(own.path) > len(last.path):
        return True  # a heading without a text of its own goes with what it stands above
    first = sections[units[before.start].section]
    told = not (last.bare or own.bare)
    if told and first.path and own.path and first.path[0] != own.path[0]:
        return False
    spans = [span_of(units, run) for run in (before, after)]
    both = Span(spans[0].first, spans[1].last)
    return words.tokens(both) <= size and min(map(words.tokens, spans)) < small


def shared_headings(sections: Sequence[Section], numbers: set[int]) -> str:
    """Return the headings that all sections of a chunk stand under, joined by " > "."""
    told = sorted(number for number in numbers if not sections[number].bare) or sorted(numbers)
    paths = [sections[number].path for number in told]
    shared = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(shared), len(path)) and shared[same] == path[same]:
            same += 1
        shared = shared[:same]
    return " > ".join(shared)
