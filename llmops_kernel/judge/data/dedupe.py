"""Near-duplicates: texts that share almost all pairs of words, and every figure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmops_kernel.judge.samples import Sample

THRESHOLD = 0.8
_WORD = re.compile(r"\w+(?:[.,]\d+)*")
_EDGE = ""  # stands before the first and after the last word

Shingle = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A sample that says what another one says.

    Attributes:
        id: The sample that was left out.
        kept: The earlier one that stays.
        similarity: Jaccard similarity of their pairs of words (0..1).
    """

    id: str
    kept: str
    similarity: float


def normalized(text: str) -> str:
    """Return a text's words: compatibility forms folded, lower case, without punctuation."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def shingles(text: str) -> frozenset[Shingle]:
    """Return the pairs of neighbouring words of a text, with its two ends."""
    words = [_EDGE, *normalized(text).split(), _EDGE]
    return frozenset(pairwise(words))


def similarity(one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts' pairs of words; 0 where their figures differ.

    "The fee in 2023?" and "the fee in 2024?" share most of their words and are two questions.
    """
    if _figures(one) != _figures(other):
        return 0.0
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def dedupe(
    samples: Iterable[Sample],
    *,
    threshold: float = THRESHOLD,
    text: Callable[[Sample], str] | None = None,
) -> tuple[list[Sample], list[Duplicate]]:
    """Return the samples without near-duplicates, and what was left out.

    The first of alike samples stays. The same question with another answer is no duplicate.

    Args:
        samples: In order of preference.
        threshold: Similarity from which two are alike (above 0, up to 1).
        text: What is compared; by default question and answer.

    Raises:
        UsageProblem: The threshold is not a share.
    """
    if not 0 < threshold <= 1:
        raise UsageProblem("The threshold must be above 0 and at most 1", detail=str(threshold))
    read = text or (lambda sample: f"{sample.user_input}\n{sample.response}")
    rows = list(samples)
    texts = [read(sample) for sample in rows]
    kept, dropped = [], []
    for place, found in enumerate(_earlier_alike(texts, threshold)):
        if found is None:
            kept.append(rows[place])
        else:
            dropped.append(Duplicate(rows[place].id, rows[found[0]].id, found[1]))
    return kept, dropped


def _earlier_alike(texts: Sequence[str], threshold: float) -> list[tuple[int, float] | None]:
    """Return for each text the kept earlier text that is most like it, if any.

    Two sets with a Jaccard similarity of t share one of the first |s| - ceil(t |s|) + 1 members of
    each, in any common order (prefix filtering: Chaudhuri, Ganti and Kaushik 2006). With the rarest
    members first few pairs are compared.
    """
    sets = [shingles(text) for text in texts]
    figures = [_figures(text) for text in texts]
    seen = Counter(shingle for each in sets for shingle in each)
    index: dict[Shingle, list[int]] = {}
    found: list[tuple[int, float] | None] = []
    for place, own in enumerate(sets):
        ordered = sorted(own, key=lambda shingle: (seen[shingle], shingle))
        prefix = ordered[: len(own) - math.ceil(threshold * len(own) - 1e-9) + 1]
        best: tuple[int, float] | None = None
        for other in sorted({each for shingle in prefix for each in index.get(shingle, ())}):
            if figures[other] != figures[place]:
                continue
            shared = len(own & sets[other])
            alike = shared / (len(own) + len(sets[other]) - shared)
            if alike >= threshold and (best is None or alike > best[1]):
                best = (other, alike)
        if best is None:
            for shingle in prefix:
                index.setdefault(shingle, []).append(place)
        found.append(best)
    return found


def _figures(text: str) -> tuple[str, ...]:
    words = normalized(text).split()
    return tuple(sorted(word for word in words if any(char.isdigit() for char in word)))
