"""The smallest pieces that chunks are made of, and how gladly a text is cut before each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.rag.chunking.outline import head_lines, outline, rows_of
from llmops_kernel.rag.chunking.sentences import find_sentences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.rag.chunking.outline import Block, Section
    from llmops_kernel.rag.chunking.words import Span, Words

# What a cut before a unit costs, against the squared share of a chunk that stays unused.
BLOCK = 0.0  # between paragraphs, tables, lists
ITEM = 0.1  # between items of a list, rows, lines of code
SENTENCE = 0.4
WORD = 1.5
TIED = 4.0  # right after a heading, or after the head of a table


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece that stays whole.

    Attributes:
        span: Its words.
        cost: What a cut before it costs.
        section: The number of its section.
    """

    span: Span
    cost: float = SENTENCE
    section: int = 0


def limit_units(units: Sequence[Unit], words: Words, limit: int) -> list[Unit]:
    """Cut units of more than ``limit`` tokens between words."""
    small: list[Unit] = []
    for unit in units:
        if words.tokens(unit.span) <= limit:
            small.append(unit)
            continue
        cost = unit.cost
        for span in words.slices(unit.span, limit):
            small.append(Unit(span, cost, unit.section))
            cost = WORD
    return small


def sentence_units(words: Words, within: Span, limit: int) -> list[Unit]:
    """Return the sentences of a span as units of at most ``limit`` tokens."""
    units = [Unit(span) for span in find_sentences(words, within)]
    return limit_units(units, words, limit)


def markdown_units(words: Words, media: str, limit: int) -> tuple[list[Section], list[Unit]]:
    """Return the sections of a text, and its units: sentences, items, rows, lines of code."""
    sections = outline(words.text, media)
    units: list[Unit] = []
    for number, section in enumerate(sections):
        lead = BLOCK
        for block in section.blocks:
            for span, cost in _pieces(words, block, lead):
                if span.first < span.last:
                    units.append(Unit(span, cost, number))
            lead = _lead(words.text, block)
    return sections, limit_units(units, words, limit)


def _pieces(words: Words, block: Block, lead: float) -> Iterator[tuple[Span, float]]:
    """The units of a block, each with what a cut before it costs."""
    cost = lead
    if block.kind in {"heading", "paragraph"}:
        for span in find_sentences(words, words.within(block.start, block.end)):
            yield span, cost
            cost = SENTENCE if block.kind == "paragraph" else TIED
        return
    head = head_lines(words.text, block)
    for number, (start, end) in enumerate(rows_of(words.text, block)):
        cost = lead if number == 0 else TIED if number <= head else ITEM
        for span in find_sentences(words, words.within(start, end)):
            yield span, cost
            cost = SENTENCE


def _lead(text: str, block: Block) -> float:
    """What a cut after a block costs."""
    if block.kind == "heading":
        return TIED
    # "The following fees apply:" belongs to what follows.
    return SENTENCE if text[block.start : block.end].rstrip().endswith((":", "\uff1a")) else BLOCK
