"""Signals of support that need no model: words, figures, names and negations.

They see altered figures and content that no passage holds. They do not see inference, swapped
roles or a paraphrase without a word in common.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import NEGATIONS, STOP_WORDS
from llmops_kernel.calls.offline.language.text import sentences, stem, words

if TYPE_CHECKING:
    from collections.abc import Sequence

_WINDOW = 3  # adjacent sentences of a passage that may support a claim together
_MOST_SENTENCES = 4_000
_ALIKE = 0.55

_NAME = re.compile(r"(?<![.!?:\"\u201c]\s)(?<!^)\b[A-Z][\w\u2019'-]*[a-z][\w\u2019'-]*")
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
_MONTHS = {
    "january": "1", "february": "2", "march": "3", "april": "4", "may": "5", "june": "6",
    "july": "7", "august": "8", "september": "9", "october": "10", "november": "11",
    "december": "12",
}  # fmt: skip
# Marks such as [1], [2, 3] or [^4] name a passage; they are no part of what is said.
_CITED = re.compile(
    r"\s*(?:\[\^?\d{1,3}(?:\s*[,;-]\s*\^?\d{1,3})*\]|\u3010[^\u3010\u3011]{1,40}\u3011)"
)
_LONG = 400
_POLITE = re.compile(
    r"(?:(?:i am|i'm|we are|we're) )?(?:sorry|unfortunately|apologies|thank|please|hello|hi\b"
    r"|let me|is there anything)[^.]*[.!?]?$",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:i (?:do not|don't|cannot|can't|am not able to|am unable to|could not|couldn't) "
    r"(?:know|find|answer|say|tell|help|determine)|(?:is|are|was) not (?:mentioned|specified|"
    r"provided|stated)|no (?:information|answer)|not (?:enough|sufficient) information)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """How one sentence of an answer stands to the passages.

    Attributes:
        text: The sentence.
        recall: Share of its content (weighted by rarity) in the best window (0 to 1).
        evidence: That window.
        weight: How much content it has.
        negated: Whether it says and the window denies the same, or the other way round.
    """

    text: str
    recall: float
    evidence: str
    weight: float
    negated: bool


def is_refusal(answer: str) -> bool:
    """Whether every sentence of an answer says that it does not know, or is mere politeness."""
    if len(answer) >= _LONG or _FIGURE.search(answer):
        return False
    said = sentences(answer)
    refusing = [one for one in said if _REFUSAL.search(one)]
    return bool(refusing) and all(one in refusing or _POLITE.match(one) for one in said)


class Evidence:
    """Passages, cut in windows of sentences, ready to be compared with.

    Args:
        contexts: The passages.
    """

    def __init__(self, contexts: Sequence[str]) -> None:
        self._texts: list[str] = []
        self._stems: list[frozenset[str]] = []
        self._tokens: list[list[str]] = []
        self._starts: list[int] = []  # the passage that each sentence is of
        for number, context in enumerate(contexts):
            for text in sentences(context)[: _MOST_SENTENCES - len(self._texts)]:
                tokens = words(text)
                self._texts.append(text)
                self._tokens.append(tokens)
                self._stems.append(frozenset(_content(tokens)))
                self._starts.append(number)
        self._seen_in = Counter(one for stems in self._stems for one in stems)
        self._where: dict[str, list[int]] = {}
        for number, stems in enumerate(self._stems):
            for one in stems:
                self._where.setdefault(one, []).append(number)
        joined = " ".join(contexts)
        self.figures = figures(joined)
        self.words = {stem(word) for word in words(joined)}

    def rarity(self, one: str) -> float:
        """Return the weight of a stem: what few sentences hold says more."""
        count = len(self._texts) or 1
        return math.log(1 + count / (0.5 + self._seen_in.get(one, 0))) + 0.3

    def support(self, claim: str) -> SentenceSupport:
        """Return how far a sentence's content is in the best window."""
        tokens = words(claim)
        weights = {one: self.rarity(one) for one in _content(tokens)}
        total = sum(weights.values())
        if not total:
            return SentenceSupport(claim, 1.0, "", 0.0, False)
        best, share = (0, 0), 0.0
        for first in self._candidates(weights):
            held: set[str] = set()
            for last in range(first, min(first + _WINDOW, len(self._texts))):
                if self._starts[last] != self._starts[first]:
                    break
                held |= self._stems[last] & weights.keys()
                # A wider window must bring more to be better.
                value = sum(weights[one] for one in held) / total - 0.02 * (last - first)
                if value > share:
                    best, share = (first, last + 1), value
        evidence = " ".join(self._texts[slice(*best)])
        negated = share >= _ALIKE and _denies(tokens) != any(
            _denies(self._tokens[number]) for number in range(*best)
        )
        return SentenceSupport(claim, max(0.0, share), evidence, total, negated)

    def _candidates(self, weights: dict[str, float]) -> list[int]:
        """Return where windows may begin: sentences with the rarest words, and those before."""
        places: set[int] = set()
        for one in sorted(weights, key=lambda each: -weights[each]):
            for number in self._where.get(one, ())[:200]:
                places.update(range(max(0, number - _WINDOW + 1), number + 1))
            if len(places) > 600:
                break
        return sorted(places)


def uncited(answer: str) -> str:
    """Return an answer without the marks of its citations; text without any comes back as it is."""
    return _CITED.sub("", answer)


def claims_of(answer: str) -> list[str]:
    """Return the sentences of an answer that say something."""
    return [one for one in sentences(answer)[:200] if _content(words(one))]


def figures(text: str) -> set[str]:
    """Return the numbers of a text in one form: ``1,200.00`` and ``1200`` are the same.

    Names of months count as numbers, so that dates in words and in figures can be compared.
    """
    found = {token for token in words(text) if token[:1].isdigit()}
    lowered = text.lower()
    return found | {number for name, number in _MONTHS.items() if name[:3] in lowered
                    and re.search(rf"\b{name}\b", lowered)}  # fmt: skip


def names(text: str) -> set[str]:
    """Return stems of words that look like names: capitals within a sentence."""
    return {
        stem(match.group().lower().replace("\u2019", "'").removesuffix("'s"))
        for match in _NAME.finditer(text)
        if match.group().lower() not in STOP_WORDS
    }


def entities_found(answer: str, evidence: Evidence) -> tuple[list[str], list[str]]:
    """Return the figures and names of an answer: those the passages hold, and those they lack."""
    held: list[str] = []
    lacking: list[str] = []
    for one in sorted(figures(answer)):
        (held if one in evidence.figures else lacking).append(one)
    for one in sorted(names(answer)):
        (held if one in evidence.words else lacking).append(one)
    return held, lacking


def _content(tokens: Sequence[str]) -> list[str]:
    return [stem(each) for each in tokens if each not in STOP_WORDS and each not in NEGATIONS]


def _denies(tokens: Sequence[str]) -> bool:
    return sum(token in NEGATIONS for token in tokens) % 2 == 1
