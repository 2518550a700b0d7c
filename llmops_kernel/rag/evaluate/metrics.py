"""How well the results of one search cover the gold passages of its question.

A result *finds* a gold passage when they overlap by at least half of the shorter of the two, so
that both a small chunk out of a long passage and a large chunk around a short one count, and one
that only touches it does not. A gold document is found by any of its chunks. A passage that was
found is not found again: repeats earn nothing.

Token measures follow the chunking-evaluation literature (Smith and Troynikov 2024): with e the
tokens of the gold passages and r those of the results, recall is |e and r| / |e|, precision
|e and r| / |r| and IoU |e and r| / (|e| + |r| - |e and r|). Tokens that two results share count
twice in |r|: overlap is paid for.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.rag.evaluate.gold import Place

_TOKEN = re.compile(r"\w+|[^\w\s]")
_SHARE = 0.5
DEPTH = 10  # results that nDCG and MRR look at


def overlap(one: Place, other: Place) -> int:
    """Return how many characters two places share."""
    if one.doc_id != other.doc_id:
        return 0
    return max(0, min(one.end, other.end) - max(one.start, other.start))


def finds(result: Place, gold: Place) -> bool:
    """Return whether a result finds a gold passage."""
    shorter = min(result.end - result.start, gold.end - gold.start)
    shared = overlap(result, gold)
    return shared > 0 and shared >= _SHARE * shorter


def recall(results: Sequence[Place], golds: Sequence[Place]) -> float:
    """Return the share of gold passages that are found (0..1).

    Args:
        results: What was found, already cut to k.
        golds: One at least.
    """
    return sum(any(finds(each, gold) for each in results) for gold in golds) / len(golds)


def hit(results: Sequence[Place], golds: Sequence[Place]) -> float:
    """Return 1 if any gold passage is found, else 0."""
    return float(any(finds(each, gold) for each in results for gold in golds))


def reciprocal_rank(results: Sequence[Place], golds: Sequence[Place]) -> float:
    """Return 1 / rank of the first of ten results that finds a gold passage; 0 without one."""
    for rank, result in enumerate(results[:DEPTH], start=1):
        if any(finds(result, gold) for gold in golds):
            return 1 / rank
    return 0.0


def ndcg(results: Sequence[Place], golds: Sequence[Place], needed: int) -> float:
    """Return nDCG at 10 with gains of 0 and 1.

    A result gains when it finds a gold passage that no result above it has found.

    Args:
        results: What was found, best first.
        golds: One at least.
        needed: How many chunks hold the gold, see `needed_chunks`: what an ideal search returns.
    """
    left = list(golds)
    gained = 0.0
    for rank, result in enumerate(results[:DEPTH]):
        missing = [gold for gold in left if not finds(result, gold)]
        if len(missing) < len(left):
            gained += 1 / math.log2(rank + 2)
        left = missing
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(needed, DEPTH)))
    # Chunks that overlap can hold a passage each in part, and so gain more often than needed.
    return min(1.0, gained / ideal)


def needed_chunks(golds: Sequence[Place], leaves: Callable[[str], Sequence[Place]]) -> int:
    """Return how many chunks hold the gold: the best one of each passage, each chunk once.

    Args:
        golds: One at least.
        leaves: Returns the searched chunks of a document.
    """
    best: set[Place] = set()
    for gold in golds:
        if gold.whole:
            best.add(gold)
            continue
        chunks = [each for each in leaves(gold.doc_id) if overlap(each, gold)]
        best.add(max(chunks, key=lambda each: overlap(each, gold)) if chunks else gold)
    return len(best)


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Token recall, precision and intersection over union (0..1)."""

    recall: float
    precision: float
    iou: float


class Tokens:
    """Counts the tokens (words, and each mark of punctuation) of places in documents.

    Args:
        text: Returns a document's text.
    """

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._starts: dict[str, list[int]] = {}

    def score(self, results: Sequence[Place], golds: Sequence[Place]) -> TokenScores | None:
        """Return the token measures; None where a gold passage is a whole document."""
        if any(gold.whole for gold in golds):
            return None
        wanted = self._ranges(golds)
        found = self._ranges(results)
        gold = _covered(wanted)
        shared = gold + _covered(found) - _covered([*wanted, *found])
        retrieved = sum(last - first for _, first, last in found)
        return TokenScores(
            shared / gold if gold else 0.0,
            shared / retrieved if retrieved else 0.0,
            shared / (gold + retrieved - shared) if shared else 0.0,
        )

    def _ranges(self, places: Sequence[Place]) -> list[tuple[str, int, int]]:
        ranges = []
        for place in places:
            starts = self._starts_of(place.doc_id)
            first, last = bisect_left(starts, place.start), bisect_left(starts, place.end)
            ranges.append((place.doc_id, first, last))
        return ranges

    def _starts_of(self, doc_id: str) -> list[int]:
        if doc_id not in self._starts:
            self._starts[doc_id] = [m.start() for m in _TOKEN.finditer(self._text(doc_id))]
        return self._starts[doc_id]


def _covered(ranges: Sequence[tuple[str, int, int]]) -> int:
    """Return how many tokens lie in any of the ranges."""
    total = 0
    document, reached = "", 0
    for name, first, last in sorted(ranges):
        if name != document:
            document, reached = name, 0
        total += max(0, last - max(first, reached))
        reached = max(reached, last)
    return total
