"""Moorhen's assistant and two judges of it, simulated: here, and only here, the truth is known.

No model answers. A right answer is the bank's own reference, a wrong one a confident answer to
another question of the same area. Whether an answer is right is no flag but can be checked: it
must tell every key fact. The judges look that up and then err on purpose, at rates that are set.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge.judges.protocol import Ruling
from llmops_kernel.judge.samples import Sample
from llmops_kernel.labs import bank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.judge.judges.protocol import Via
    from llmops_kernel.judge.prompts.text import Task

PROMPTS = {
    "plain": "Answer the customer's question.",
    "polite": "Answer the customer's question. Thank them first, and offer help at the end.",
    "brief": "Answer the customer's question in at most 18 words.",
}
_KINDS = ("answerable", "indirect", "near_miss")
_WORDS = 18
_BEFORE, _AFTER = "Thanks for asking! ", " Is there anything else we can do for you today?"
_MIDDLE = 95  # characters of a typical answer


def answers(prompt: str = "plain", n: int = 500, *, quality: float = 0.72) -> list[Sample]:
    """Return what the simulated assistant says to labelled questions of the bank.

    Args:
        prompt: One of `PROMPTS`: "brief" loses key facts that come late, "polite" only adds words.
        n: Questions, at most about 570.
        quality: Share that "plain" answers rightly.

    Raises:
        UsageProblem: There is no such prompt.
    """
    if prompt not in PROMPTS:
        raise UsageProblem(f"There is no prompt {prompt!r}{nearest(prompt, PROMPTS)}")
    found = []
    for question in _questions()[:n]:
        text = question.answer
        if _unit("quality", question.id) >= quality:
            text = _wrong(question).answer
        if prompt == "brief":
            text = " ".join(text.split()[:_WORDS])
        elif prompt == "polite":
            text = f"{_BEFORE}{text}{_AFTER}"
        found.append(
            Sample(
                question.id, question.question, text, reference=question.answer,
                tags=(question.kind,),
            )
        )  # fmt: skip
    return found


def is_right(question: str, answer: str) -> bool:
    """Whether an answer tells every key fact of a question.

    Raises:
        UsageProblem: The bank knows no such question.
    """
    known = _by_text().get(question.strip())
    if known is None:
        raise UsageProblem("The bank knows no such question", detail=question[:80])
    return all(fact.lower() in answer.lower() for fact in known.key_facts)


class BiasedJudge:
    """A judge that finds nearly all right answers right, and many wrong ones too.

    It rules on ``correctness`` and on ``pairwise``. Its draws come from the question alone: the
    same answer always gets the same verdict, as from a model at temperature 0 with a cache.

    Args:
        name: Its id.
        sensitivity: Chance that a right answer is called right.
        specificity: Chance that a wrong answer of typical length is called wrong.
        likes_length: How much longer wrong answers gain, in log odds for twice the length.
        likes_first: Share of pairs without a clear winner that go to the answer shown first.
        seed: Other seeds err at other questions.
    """

    simulated = True
    loop = None

    def __init__(
        self,
        name: str = "sim/lenient-judge",
        *,
        sensitivity: float = 0.95,
        specificity: float = 0.55,
        likes_length: float = 0.0,
        likes_first: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.id = name
        self._sensitivity, self._specificity = sensitivity, specificity
        self._likes_length, self._likes_first = likes_length, likes_first
        self._seed = seed

    @property
    def params(self) -> Mapping[str, Any]:
        """What it was built with."""
        return {
            "sensitivity": self._sensitivity,
            "specificity": self._specificity,
            "likes_length": self._likes_length,
            "likes_first": self._likes_first,
            "seed": self._seed,
        }

    async def ask(self, task: Task, *, repeat: int = 0, via: Via | None = None) -> Ruling:  # noqa: ARG002
        """Rule, without any call."""
        given: dict[str, list[str]] = {}
        for name, text, *_ in task.parts:
            given.setdefault(name, []).append(text)
        question, said = given.get("question", [""])[0], given.get("response", [])
        if task.prompt.name == "pairwise" and len(said) > 1:
            return Ruling(self._better(question, said[0], said[1]))
        if task.prompt.name != "correctness" or not said:
            return Ruling(unscored="refused", detail="It rules on correctness and pairwise only")
        if self._says_yes(question, said[0]):
            return Ruling({"both": [said[0]], "only_response": [], "only_reference": []})
        return Ruling({"both": [], "only_response": [said[0]], "only_reference": ["the facts"]})

    def bound(self, task: Task) -> tuple[int, int, int, int]:  # noqa: ARG002
        """Nothing is asked, and nothing costs."""
        return (0, 0, 0, 0)

    def _says_yes(self, question: str, answer: str) -> bool:
        chance = self._sensitivity
        if not is_right(question, answer):
            odds = math.log((1 - self._specificity) / self._specificity)
            odds += self._likes_length * math.log2(max(len(answer), 1) / _MIDDLE)
            chance = 1 / (1 + math.exp(-odds))
        return _unit(f"judge {self._seed}", question) < chance

    def _better(self, question: str, first: str, second: str) -> dict[str, str]:
        one, other = (self._says_yes(question, text) for text in (first, second))
        better = "A" if one else "B"
        if one == other:
            pull = self._likes_length * math.log2(max(len(first), 1) / max(len(second), 1))
            draw = _unit(f"order {self._seed}", question)
            better = "tie"
            if draw < self._likes_first:
                better = "A"
            elif abs(pull) > draw:
                better = "A" if pull > 0 else "B"
        return {"reason": "", "better": better}


@cache
def _questions() -> list[bank.Question]:
    """Return questions whose reference answer tells every key fact, in a fixed random order."""
    found = [
        each
        for each in bank.questions(_KINDS)
        if all(fact.lower() in each.answer.lower() for fact in each.key_facts)
    ]
    return sorted(found, key=lambda each: _unit("order", each.id))


@cache
def _by_text() -> dict[str, bank.Question]:
    return {each.question.strip(): each for each in bank.questions(_KINDS)}


def _wrong(question: bank.Question) -> bank.Question:
    """Return a question of the same area whose answer lacks this one's key facts."""
    others = [
        each
        for each in _questions()
        if each.area == question.area
        and each.id != question.id
        and not all(fact.lower() in each.answer.lower() for fact in question.key_facts)
    ]
    return others[int(_unit("wrong", question.id) * len(others))]


def _unit(*parts: str) -> float:
    """Return a number in 0..1 that the same words always give."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
