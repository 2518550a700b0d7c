"""How much a passage has to do with a question: BM25 over stems, in plain Python.

The passages of one prompt are some hundred sentences; an index for them would cost more than it
saves. Source of the formula: Robertson and Zaragoza 2009, with Lucene's idf, which is never below
zero.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.text import content_stems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rank = Callable[[str, Sequence[str]], Sequence[float]]

_K1, _B = 1.2, 0.5  # short passages: length says little


def bm25(question: str, passages: Sequence[str]) -> list[float]:
    """Return the score of each passage, 0 and up, in the order of the passages."""
    wanted = set(content_stems(question))
    counted = [_counts(each) for each in passages]
    found = Counter(stem for each in counted for stem in wanted & each.keys())
    total = len(counted)
    idf = {stem: math.log1p((total - n + 0.5) / (n + 0.5)) for stem, n in found.items()}
    mean = sum(sum(each.values()) for each in counted) / max(total, 1) or 1.0
    return [_score(each, idf, mean) for each in counted]


@lru_cache(maxsize=8_192)
def _counts(passage: str) -> Counter[str]:
    return Counter(content_stems(passage))  # the same passages come with many questions


def _score(counts: Counter[str], idf: dict[str, float], mean: float) -> float:
    length = sum(counts.values())
    norm = _K1 * (1 - _B + _B * length / mean)
    # In the order of the words, so that equal inputs give equal sums.
    return sum(
        idf[stem] * n * (_K1 + 1) / (n + norm)
        for stem, n in sorted((stem, n) for stem, n in counts.items() if stem in idf)
    )
