"""Repeated rules and sentences: said once is enough."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.text import content_stems
from llmops_kernel.prompts.compress.protect import facts_of, is_marked
from llmops_kernel.prompts.compress.units import joined, units_of

if TYPE_CHECKING:
    from llmops_kernel.prompts.compress.units import Unit

_MARK = re.compile(r"^\s*(?:[-*+\u2022>]|\(?\d{1,3}[.)])\s+")
_EDGE = re.compile(r"[\s.!;:,]+$")
_LEAST = 3  # words: "Yes." twice may be two answers
_ALIKE = 0.9  # shared words of two sentences that count as one, where all facts agree


class Repeats:
    """Remembers what was said, over the texts of one prompt."""

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._said: list[tuple[frozenset[str], tuple[tuple[str, ...], tuple[str, ...]]]] = []
        self._by_stem: dict[str, list[int]] = {}

    def without(self, text: str) -> str:
        """Return a text without what was said before, here or in an earlier text.

        A sentence counts as said when it is the same but for case, spacing, list mark and final
        punctuation, or when nine in ten of its words are the same and all its figures, dates,
        quoted words and negations are. Code, tables and what a person marked are left alone.
        """
        units = units_of(text)
        kept = [unit for number, unit in enumerate(units) if not self._is_said(units, number)]
        return text if len(kept) == len(units) else joined(_without_empty(units, kept), gaps=True)

    def _is_said(self, units: list[Unit], number: int) -> bool:
        unit = units[number]
        if unit.frame or unit.frozen or unit.leans or "|" in unit.text or is_marked(unit.text):
            return False
        following = units[number + 1] if number + 1 < len(units) else None
        if following is not None and following.leans and following.block == unit.block:
            return False  # "Fees may apply. Except on Plus." : the second needs the first
        plain = _EDGE.sub("", _MARK.sub("", " ".join(unit.text.lower().split())))
        if len(plain.split()) < _LEAST:
            return False
        if plain in self._exact:
            return True
        stems, facts = _stems(plain), facts_of(plain)
        near = {place for stem in stems for place in self._by_stem.get(stem, ())}
        if any(self._alike(place, stems, facts) for place in near):
            return True
        self._exact.add(plain)
        self._said.append((stems, facts))
        for stem in stems:
            self._by_stem.setdefault(stem, []).append(len(self._said) - 1)
        return False

    def _alike(
        self, place: int, stems: frozenset[str], facts: tuple[tuple[str, ...], tuple[str, ...]]
    ) -> bool:
        theirs, their_facts = self._said[place]
        if facts != their_facts:
            return False
        # Few words leave no room for a difference that says nothing.
        if min(len(stems), len(theirs)) < 1 / (1 - _ALIKE):
            return stems == theirs and len(stems) > _LEAST
        return len(stems & theirs) >= _ALIKE * len(stems | theirs)


@lru_cache(maxsize=8_192)
def _stems(sentence: str) -> frozenset[str]:
    return frozenset(content_stems(sentence))  # the same passages come with many questions


def _without_empty(units: list[Unit], kept: list[Unit]) -> list[Unit]:
    """Leave out list headings and fences whose whole content went."""
    needed = {place for unit in kept if not unit.frame for place in unit.above}
    were = {place for unit in units if not unit.frame for place in unit.above}
    numbers = {id(unit): number for number, unit in enumerate(units)}
    return [
        unit
        for unit in kept
        if not unit.frame
        or (place := unit.closes if unit.closes >= 0 else numbers[id(unit)]) in needed
        or place not in were
    ]
