"""Rows that ask the same but for a word or two, as a template with other slot words does."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from llmops_kernel.judge.data.dedupe import normalized

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.finetune.data.rows import Row

_SHORT = 12  # words up to which skeletons are compared
_LONG = 11  # words from which pairs of words are; the two overlap, so that no length falls between
_KEPT = 0.6  # share of the words that a skeleton keeps at least
_COMPARED = 16  # rows of one skeleton whose answers are compared
_ENOUGH = 3  # near rows that stand for all others of their kind
_ALIKE = 0.7  # similarity of pairs of words from which long questions are near, whatever changed
_FIGURE = "0"
_GAP = 4  # neighbouring words that a slot may have
_MODULUS = 2**61 - 1
_POWERS = [pow(1_000_003, place + 1, _MODULUS) for place in range(_SHORT + _GAP)]

Pair = tuple[str, str]


class Copies:
    """Finds near copies: rows whose questions differ by a word or two, and that teach the same.

    A short question is known by its skeletons, what is left of it without one or two words, or
    without up to four neighbouring ones (deletion neighbourhoods: Mor and Fraenkel 1982); two
    questions with a skeleton in common differ in no more than these. Long ones are compared by
    their pairs of words, where two changed words of L cost at most four of L + 1 pairs. Figures are
    all one word: an amount or a date is a slot. The work grows with the rows, not with their pairs:
    of a skeleton, and of long rows that are alike, few are kept to compare with.

    What is asked with another word and answered otherwise is another question ("block my card",
    "order my card"): with classes these must be the same, and else the answers may only differ
    in figures and in the words in which the questions differ.

    Args:
        rows: All rows, by number.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._words = [_words(row.question) for row in rows]
        self._labels = [row.label for row in rows]
        self._answers = [frozenset(_words(row.answer)) for row in rows]
        self._pairs = [
            frozenset(pairwise(("", *words, ""))) if len(words) >= _LONG else frozenset()
            for words in self._words
        ]
        self._seen: Counter[Pair] = Counter(pair for each in self._pairs for pair in each)
        self._short: dict[int, list[int]] = {}
        self._long: dict[Pair, list[int]] = {}

    def add(self, number: int) -> list[int]:
        """Let a row be found from now on, and return added rows of which it is a near copy.

        Of many copies of one kind some are returned, which is enough to put all into one cluster.
        """
        found: set[int] = set()
        for key in self._keys(number):
            kept = self._short.setdefault(key, [])
            same = next((n for n in kept if n in found or self._same_answer(number, n)), None)
            if same is not None:
                found.add(same)
            elif len(kept) < _COMPARED:
                kept.append(number)
        alike = [n for n in self._alike(number) if self._same_answer(number, n)]
        if len(alike) < _ENOUGH:
            for pair in self._prefix(number):
                self._long.setdefault(pair, []).append(number)
        return sorted(found.union(alike))

    def asked(self, number: int) -> bool:
        """Whether an added row of the same class asks nearly the same, whatever its answer."""
        return any(key in self._short for key in self._keys(number)) or any(
            self._labels[other] == self._labels[number] for other in self._alike(number)
        )

    def _keys(self, number: int) -> set[int]:
        words = self._words[number]
        return _skeletons(words, hash(self._labels[number])) if len(words) <= _SHORT else set()

    def _alike(self, number: int) -> Iterator[int]:
        own = self._pairs[number]
        found = {n for pair in self._prefix(number) for n in self._long.get(pair, ())}
        for other in sorted(found):
            theirs = self._pairs[other]
            shared = len(own & theirs)
            # The stricter of both, which both prefixes were made for.
            least = max(_threshold(len(own)), _threshold(len(theirs)))
            if shared / (len(own) + len(theirs) - shared) >= least:
                yield other

    def _prefix(self, number: int) -> list[Pair]:
        """Return the rarest pairs, of which rows that are alike have one in common (`Alike`)."""
        own = self._pairs[number]
        ordered = sorted(own, key=lambda pair: (self._seen[pair], pair))
        return ordered[: len(own) - math.ceil(_threshold(len(own)) * len(own) - 1e-9) + 1]

    def _same_answer(self, one: int, other: int) -> bool:
        if self._labels[one] or self._labels[other]:
            return self._labels[one] == self._labels[other]
        first, second = self._answers[one], self._answers[other]
        if first == second:
            return True
        slots = set(self._words[one]).symmetric_difference(self._words[other])
        return len(first & second) > 1 and first ^ second <= slots


def near_copies(train: Sequence[Row], held_out: Sequence[Row]) -> list[Row]:
    """Return the evaluation rows that differ from a training row by a word or two.

    With classes, from one of the same class.
    """
    copies = Copies([*train, *held_out])
    for number in range(len(train)):
        copies.add(number)
    return [row for number, row in enumerate(held_out, start=len(train)) if copies.asked(number)]


def _words(text: str) -> tuple[str, ...]:
    return tuple(
        _FIGURE if any(char.isdigit() for char in word) else word
        for word in normalized(text).split()
    )


def _skeletons(words: tuple[str, ...], start: int) -> set[int]:
    """Return hashes of the words without up to two of them, and without up to four neighbours.

    Hashes, because the skeletons of many rows would fill the memory: polynomials over the words
    that are kept, each from sums up to a place, so that none is made word by word.
    """
    count = len(words)
    most = math.floor(count * (1 - _KEPT) + 1e-9)
    # sums[gone][place]: of the words before the place, moved by as many places as are gone.
    sums = [[0] for _ in range(min(most, _GAP) + 1)]
    for place, word in enumerate(words):
        value = hash(word)
        for gone, each in enumerate(sums):
            each.append(each[-1] + value * _POWERS[place - gone + _GAP])
    none = sums[0]
    found = {start + none[count]}
    for gone in range(1, len(sums)):
        rest = sums[gone]
        found.update(
            start + none[place] + rest[count] - rest[place + gone]
            for place in range(count - gone + 1)
        )
    if most >= 2:
        once, twice = sums[1], sums[2]
        found.update(
            start + none[one] + once[other] - once[one + 1] + twice[count] - twice[other + 1]
            for one, other in combinations(range(count), 2)
        )
    return {each % _MODULUS for each in found}


def _threshold(pairs: int) -> float:
    """Return the similarity that is left when two words apart from each other are changed."""
    return min(_ALIKE, max(pairs - 4, 0) / (pairs + 4)) if pairs else 1.0
