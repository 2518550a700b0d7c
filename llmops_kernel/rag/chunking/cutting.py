"""From units to chunks: filled greedily, or cut where it costs least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.rag.chunking.words import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.rag.chunking.units import Unit
    from llmops_kernel.rag.chunking.words import Words

# What each chunk costs beside its cuts: keeps a text that fits in two chunks from being cut in
# three where that would spare a cut within a paragraph.
_CHUNK = 0.05

# Units of less than this share of a chunk are tiny; a run of as many of them is glued.
_TINY = 24
_RUN = 8


def fill(units: Sequence[Unit], words: Words, size: int) -> list[range]:
    """Group units in order, each group as full as ``size`` tokens allow."""
    groups: list[range] = []
    first = 0
    for at in range(1, len(units) + 1):
        whole = at < len(units) and words.tokens(_span(units, first, at + 1)) <= size
        if not whole:
            groups.append(range(first, at))
            first = at
    return groups if units else []


def cut(units: Sequence[Unit], words: Words, size: int, *, full: float = 1.0) -> list[range]:
    """Group units so that cuts fall where they harm least and chunks are well filled.

    The cheapest of all segmentations into groups of at most ``size`` tokens: each group costs the
    square of its unused share, and what a cut before its first unit costs. A unit of more than
    ``size`` tokens is a group of its own.

    Args:
        units: The units.
        words: The text.
        size: Most tokens of a group.
        full: How much it counts that groups are full.
    """
    pieces = _glue(units, words, -(-size // _TINY))
    count = len(pieces)
    best = [0.0] + [float("inf")] * count
    back = [0] * (count + 1)
    costs = [units[piece.start].cost for piece in pieces]
    costs[:1] = [0.0]
    before = [words.before[units[piece.start].span.first] for piece in pieces]
    after = [words.after[units[piece.stop - 1].span.last - 1] for piece in pieces]
    for end in range(1, count + 1):
        up_to = after[end - 1]
        for first in range(end - 1, -1, -1):
            tokens = up_to - before[first]
            if tokens > size and first < end - 1:
                break
            unused = 1 - tokens / size if tokens < size else 0.0
            cost = best[first] + full * unused * unused + _CHUNK + costs[first]
            if cost < best[end]:
                best[end], back[end] = cost, first
    groups: list[range] = []
    end = count
    while end:
        groups.append(range(pieces[back[end]].start, pieces[end - 1].stop))
        end = back[end]
    return groups[::-1]


def _glue(units: Sequence[Unit], words: Words, tiny: int) -> list[range]:
    """Take many tiny units in a row, as of a list of numbers, for fewer that are not.

    Trying every cut between them would take minutes for a megabyte, and no cut is better there.
    """
    pieces: list[range] = []
    at = 0
    while at < len(units):
        end = at
        while end < len(units) and words.tokens(units[end].span) < tiny:
            end += 1
        if end - at < _RUN:
            end = max(end, at + 1)
            pieces.extend(range(one, one + 1) for one in range(at, end))
            at = end
            continue
        while at < end:
            first = at
            at += 1
            while at < end and words.tokens(_span(units, first, at + 1)) <= tiny:
                at += 1
            pieces.append(range(first, at))
    return pieces


def reach_back(
    units: Sequence[Unit], groups: Sequence[range], words: Words, overlap: int
) -> list[range]:
    """Begin each group but the first with the last units of the one before.

    As many as have ``overlap`` tokens together at most. Starts keep ascending: a group never
    begins before the second unit of the group that it overlaps.
    """
    reached: list[range] = []
    for group in groups:
        first = group.start
        floor = reached[-1].start + 1 if reached else group.start
        while first > floor and words.tokens(_span(units, first - 1, group.start)) <= overlap:
            first -= 1
        reached.append(range(first, group.stop))
    return reached


def span_of(units: Sequence[Unit], group: range) -> Span:
    """Return the words of a group."""
    return _span(units, group.start, group.stop)


def _span(units: Sequence[Unit], first: int, last: int) -> Span:
    return Span(units[first].span.first, units[last - 1].span.last)
