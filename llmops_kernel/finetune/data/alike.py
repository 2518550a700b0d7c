"""Texts that say nearly the same, found among many."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.judge.data.dedupe import normalized, shingles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Alike:
    """Finds near-repeats: texts whose pairs of words have a Jaccard similarity of at least t.

    Texts with other figures are never alike: two years make two questions. Two sets with a
    similarity of t share one of the first |s| - ceil(t |s|) + 1 members of each, in any common
    order (prefix filtering: Chaudhuri, Ganti and Kaushik 2006); with the rarest first, few pairs
    are compared.

    Args:
        texts: All texts, by number.
        threshold: From which similarity two are alike (above 0, up to 1).
    """

    def __init__(self, texts: Sequence[str], threshold: float) -> None:
        self._threshold = threshold
        self._sets = [shingles(text) for text in texts]
        self._figures = [_figures(text) for text in texts]
        self._seen = Counter(pair for each in self._sets for pair in each)
        self._index: dict[tuple[str, str], list[int]] = {}

    def add(self, number: int) -> None:
        """Let a text be found from now on."""
        for pair in self._prefix(number):
            self._index.setdefault(pair, []).append(number)

    def near(self, number: int) -> Iterator[int]:
        """Yield the added texts that are like this one, in order of their numbers."""
        own = self._sets[number]
        found = {each for pair in self._prefix(number) for each in self._index.get(pair, ())}
        for other in sorted(found):
            if other == number or self._figures[other] != self._figures[number]:
                continue
            shared = len(own & self._sets[other])
            if shared / (len(own) + len(self._sets[other]) - shared) >= self._threshold:
                yield other

    def _prefix(self, number: int) -> list[tuple[str, str]]:
        own = self._sets[number]
        ordered = sorted(own, key=lambda pair: (self._seen[pair], pair))
        return ordered[: len(own) - math.ceil(self._threshold * len(own) - 1e-9) + 1]


def _figures(text: str) -> tuple[str, ...]:
    words = normalized(text).split()
    return tuple(sorted(word for word in words if any(char.isdigit() for char in word)))
