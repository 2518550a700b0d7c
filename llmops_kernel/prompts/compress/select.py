"""The sentences of a context that matter to a question, within a token budget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.prompts.compress.protect import has_facts
from llmops_kernel.prompts.compress.ranking import bm25
from llmops_kernel.prompts.compress.units import joined, units_of

if TYPE_CHECKING:
    from llmops_kernel.prompts.compress.ranking import Rank
    from llmops_kernel.prompts.compress.units import Unit

_OF_HEADING = 0.4  # how much of what its headings have to do with the question a sentence gets
_OF_PLACE = 1.0  # how much the best document adds, in best scores of a sentence
_NUMBERED = re.compile(r"<document\s[^>]*\bid=\"(\d+)\"")
_WITH_FACTS = 1.15  # answers are figures more often than not


def select_sentences(text: str, question: str, budget: int, *, rank: Rank | None = None) -> str:
    """Return the sentences of a text that matter most to a question, in their order.

    Sentences, list items and table rows are kept or dropped whole. Headings, fences and a table's
    header stay with what stands under them, and a sentence that leans on the one before it ("This
    does not apply to ...") brings it along. What a person marked with ``<keep>`` and code are
    always kept, even beyond the budget. Between sentences that matter alike, those with figures,
    dates, quoted words or negations go first. Numbered documents are taken to be ordered best
    first.

    Args:
        text: The context.
        question: What will be asked of it; where it is empty nothing is dropped.
        budget: Tokens the text may have.
        rank: Scores sentences against the question, 0 and up (default: BM25).
    """
    if not question.strip() or count_tokens(text) <= budget:
        return text
    units = units_of(text)
    picked = _Picked(units, max(budget, 0))
    for number, unit in enumerate(units):
        if unit.frozen:
            picked.take(number, anyway=True)
    scores = _scores(units, question, rank or bm25)
    order = sorted(range(len(units)), key=lambda number: (-scores[number], number))
    for number in order:
        if scores[number] > 0:
            picked.take(number)
    if not picked.numbers:  # an answer needs something to rest on
        best = next((number for number in order if not units[number].frame), None)
        if best is not None:
            picked.take(best, anyway=True)
    picked.fill()
    chosen = joined([units[number] for number in sorted(picked.numbers)])
    return chosen if count_tokens(chosen) < count_tokens(text) else text


class _Picked:
    """Units that were chosen, with what they cannot stand without, within a budget."""

    def __init__(self, units: list[Unit], budget: int) -> None:
        self._units = units
        self._left = budget
        self._closing = {unit.closes: n for n, unit in enumerate(units) if unit.closes >= 0}
        self.numbers: set[int] = set()

    def take(self, number: int, *, anyway: bool = False) -> bool:
        """Choose a unit if it fits; tell whether it did."""
        group = self._group(number)
        cost = sum(count_tokens(self._units[each].text) + 1 for each in group)
        if cost > self._left and not anyway:
            return False
        self.numbers |= group
        self._left -= cost
        return True

    def fill(self) -> None:
        """Use what is left for the neighbours of what was chosen."""
        for number in sorted(self.numbers):
            for near in (number + 1, number - 1):
                if (
                    0 <= near < len(self._units)
                    and near not in self.numbers
                    and not self._units[near].frame
                    and self._units[near].above == self._units[number].above
                    and not self._units[number].frame
                ):
                    self.take(near)

    def _group(self, number: int) -> set[int]:
        """Return a unit and all it needs, without what was chosen already."""
        needed = {number}
        while self._units[number].leans:
            number -= 1
            needed.add(number)
        for each in tuple(needed):
            for place in self._units[each].above:
                needed.add(place)
                if place in self._closing:
                    needed.add(self._closing[place])
        return needed - self.numbers


def _scores(units: list[Unit], question: str, rank: Rank) -> list[float]:
    told = list(rank(question, [unit.text for unit in units]))
    found = []
    for unit, own in zip(units, told, strict=True):
        if unit.frame:
            found.append(0.0)
            continue
        above = max((told[place] for place in unit.above), default=0.0)
        weight = _WITH_FACTS if has_facts(unit.text) else 1.0
        found.append(weight * (own + _OF_HEADING * above))
    return _by_place(units, found)


def _by_place(units: list[Unit], scores: list[float]) -> list[float]:
    """Add what a search has found already: numbered documents come best first.

    On the bank's questions, within 900 tokens of 1,770, the facts of 85 % of the answers stay; by
    words alone of 73 %, and of 84 % where whole documents are left out from the end.
    """
    best = max(scores, default=0.0)
    found = []
    for unit, score in zip(units, scores, strict=True):
        numbers = [int(m[1]) for n in unit.above if (m := _NUMBERED.match(units[n].text))]
        if numbers and not unit.frame and numbers[-1] > 0:
            place = numbers[-1]
            score = score / (1 + 0.1 * (place - 1)) + _OF_PLACE * best / place
        found.append(score)
    return found
