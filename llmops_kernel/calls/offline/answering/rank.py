"""Ranks the sentences of given text against a question.

The score is the share of the question's content that a sentence carries, each stem weighted by
its rarity in the text (the inverse document frequency of BM25), with smaller credit for synonyms,
for words in the heading or the question above the sentence, and for holding the kind of answer
that is wanted.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.questions import EVIDENCE, Question
from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import GROUPS, sentences, stem, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.reading.prompt import Passage

# What several function words mean together.
_PHRASES = tuple(
    (phrase, stem(word))
    for phrase, word in (
        ("up to", "maximum"), ("at most", "maximum"), ("no more than", "maximum"),
        ("at least", "minimum"), ("two times", "twice"), ("at once", "immediately"),
        ("right away", "immediately"), ("straight away", "immediately"), ("free of charge", "fee"),
        ("no fee", "free"), ("opening hours", "open"), ("set up", "create"),
        ("sign up", "register"),
    )
)  # fmt: skip
_COSTS = frozenset(stem(word) for word in word_set("cost price fee charge free pay rate"))
_SYNONYM = 0.55
_PREFIX = 0.5
_CARRIED = 0.45
_KIND_BONUS = 0.12
_PAIR_BONUS = 0.04
_LATER = 0.1  # what each later passage of a search result is worth less
_UNNUMBERED = 0.6  # what a passage beside a search result is worth: rules, a greeting
_PREFIX_LENGTH = 5
_TOPICAL = 0.7  # question stems of at least this weight have to be known to the text
_MOST_SENTENCES = 4_000


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of given text, ready to be matched.

    Attributes:
        text: The sentence.
        index: Its place among all sentences.
        passage: The index of its passage.
        stems: Its content stems, in order.
        tokens: All its words, in order.
        carried: Stems of the heading, or of the question it answers, above it.
        is_question: Whether it asks rather than tells.
        is_heading: Whether it only announces what follows.
    """

    text: str
    index: int
    passage: int
    stems: tuple[str, ...]
    tokens: tuple[str, ...]
    carried: frozenset[str]
    is_question: bool
    is_heading: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A sentence and how well it answers.

    Attributes:
        score: For ranking; at most about 1.25.
        coverage: The share of the question's weighted content it carries, from 0 to 1.
        matched: The question's stems it carries, by itself or by a synonym.
        has_kind: Whether it holds the kind of answer that is wanted.
    """

    sentence: Sentence
    score: float
    coverage: float
    matched: frozenset[str]
    has_kind: bool = False


class SentenceIndex:
    """The sentences of passages, with the rarity of their stems."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = tuple(passages)
        self.sentences: list[Sentence] = []
        for number, passage in enumerate(passages):
            self._add(number, passage.text)
        self._frequency: Counter[str] = Counter()
        for sentence in self.sentences:
            self._frequency.update(set(sentence.stems))

    def _add(self, number: int, text: str) -> None:
        heading: frozenset[str] = frozenset()
        asked: frozenset[str] = frozenset()
        for piece in sentences(text):
            if len(self.sentences) >= _MOST_SENTENCES:
                return
            tokens = tuple(words(piece))
            stems = tuple(stem(token) for token in tokens if token not in STOP_WORDS)
            lowered = piece.lower()
            stems += tuple(meant for phrase, meant in _PHRASES if phrase in lowered)
            is_question = piece.rstrip("\"'”) ").endswith(("?", "\uff1f"))
            is_heading = not is_question and _is_heading(piece, tokens)
            self.sentences.append(
                Sentence(piece, len(self.sentences), number, stems, tokens, heading | asked,
                         is_question, is_heading)
            )  # fmt: skip
            if is_heading:
                heading, asked = frozenset(stems), frozenset()
            elif is_question:
                asked = frozenset(stems)

    def rarity(self, one: str) -> float:
        """Return the inverse document frequency of a stem (about 0.3 to 8)."""
        count = self._frequency.get(one, 0)
        return math.log(1.35 + (len(self.sentences) - count + 0.5) / (count + 0.5))

    def rank(self, question: Question) -> list[Match]:
        """Return the sentences that share content with the question, best first."""
        wanted = {one: weight * self.rarity(one) for one, weight in question.weights.items()}
        total = sum(wanted.values())
        if not total:
            return []
        groups = {one: GROUPS.get(one, frozenset()) for one in wanted}
        evidence = EVIDENCE.get(question.kind)
        # Numbered passages come from a search, best first.
        numbers = [int(p.label) if p.label.isdigit() else 0 for p in self.passages]
        ranked = sum(map(bool, numbers)) > 1
        matches = []
        for sentence in self.sentences:
            if sentence.is_heading:
                continue
            match = _match(sentence, wanted, groups, total)
            if match is None:
                continue
            coverage, matched = match
            score = coverage
            has_kind = evidence is not None and evidence.search(sentence.text) is not None
            if has_kind:
                score += _KIND_BONUS
                if question.kind == "money" and not _COSTS.isdisjoint(sentence.stems):
                    score += _KIND_BONUS
            if question.pairs and _shares_pair(sentence.stems, question.pairs):
                score += _PAIR_BONUS
            if sentence.is_question:
                score *= 0.5
            score -= min(0.05, len(sentence.tokens) / 1_500)
            if ranked:
                number = numbers[sentence.passage]
                score *= 1 - _LATER * min(number - 1, 5) if number else _UNNUMBERED
            matches.append(Match(sentence, score, coverage, matched, has_kind))
        matches.sort(key=lambda match: (-match.score, match.sentence.index))
        return matches

    def support(self, question: Question, matches: Sequence[Match]) -> float:
        """Say how well the text supports an answer at all; about 0.25 and above is enough.

        The best sentence must carry the question's content, and the text as a whole must know its
        words: a question about mortgages is not answered by a list of card fees.
        """
        if not matches:
            return 0.0
        best = matches[0]
        seen = frozenset().union(*(match.matched for match in matches))
        topical = [one for one, weight in question.weights.items() if weight >= _TOPICAL]
        unseen = sum(one not in seen for one in topical)
        if unseen and len(topical) <= 2:
            return 0.0
        total = sum(question.weights.values())
        flat = sum(question.weights[one] for one in best.matched) / total
        share = unseen / len(topical) if topical else 0.0
        return best.coverage + 0.5 * flat - 0.5 * share


def index_of(passages: tuple[Passage, ...]) -> SentenceIndex:
    """Return the sentences of passages; small ones are remembered, as prompts come in series."""
    if sum(len(passage.text) for passage in passages) > 20_000:
        return SentenceIndex(passages)
    return _remembered(passages)


@lru_cache(maxsize=64)
def _remembered(passages: tuple[Passage, ...]) -> SentenceIndex:
    return SentenceIndex(passages)


def _match(
    sentence: Sentence,
    wanted: dict[str, float],
    groups: dict[str, frozenset[int]],
    total: float,
) -> tuple[float, frozenset[str]] | None:
    own = set(sentence.stems)
    own_groups: set[int] | None = None
    prefixes: set[str] | None = None
    score = 0.0
    matched: list[str] = []
    for one, weight in wanted.items():
        if one in own:
            score += weight
            matched.append(one)
            continue
        if groups[one]:
            if own_groups is None:
                own_groups = {group for s in own for group in GROUPS.get(s, ())}
            if not own_groups.isdisjoint(groups[one]):
                score += _SYNONYM * weight
                matched.append(one)
                continue
        if one in sentence.carried:
            score += _CARRIED * weight
            matched.append(one)
            continue
        if len(one) >= _PREFIX_LENGTH and one.isalpha():
            if prefixes is None:
                prefixes = {s[:_PREFIX_LENGTH] for s in own if len(s) >= _PREFIX_LENGTH}
            if one[:_PREFIX_LENGTH] in prefixes:
                score += _PREFIX * weight
                matched.append(one)
    return (score / total, frozenset(matched)) if matched else None


def _shares_pair(stems: tuple[str, ...], pairs: frozenset[tuple[str, str]]) -> bool:
    return any(pair in pairs for pair in itertools.pairwise(stems))


def _is_heading(piece: str, tokens: tuple[str, ...]) -> bool:
    if piece.startswith("#"):
        return True
    if piece.endswith(":") and len(tokens) <= 8:
        return True
    return len(tokens) <= 6 and piece[-1:].isalnum() and piece[:1].isupper() and not any(
        ch.isdigit() for ch in piece
    ) and ":" not in piece  # fmt: skip
