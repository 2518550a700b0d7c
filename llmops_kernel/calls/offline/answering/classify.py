"""Chooses a label for a text from examples, label names and label descriptions.

A nearest-example and centroid vote in a TF-IDF space of stems, stem pairs and character n-grams.
Names and descriptions of labels are a prior that fades as examples come in. Nothing is learnt
beyond the request: more and better examples are the only way to a better answer.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import NEGATIONS, STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import (
    GROUPS,
    name_words,
    sentences,
    spelled,
    stem,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.calls.offline.reading.examples import Example, Label

Vector = dict[str, float]

_MOST_TEXT = 4_000
_MOST_EXAMPLES = 600
_PAIR = 0.5
_GRAM = 0.35
_GROUP = 0.6
_DENIED = 0.6
_FAINT = 0.3  # function words: they carry intent in short questions ("where is", "can I not")
_NEAREST = 1.0
_CENTROID = 0.7
_PRIOR = 1.5

_SENTIMENT_WORDS = {
    "positive": "love great excellent good wonderful happy pleased recommend best amazing perfect "
    "fantastic nice enjoy delight thank awesome fast easy helpful satisfied glad brilliant superb",
    "negative": "hate bad terrible awful poor horrible worst disappoint angry slow broken useless "
    "refuse never waste rude annoying upset frustrated unacceptable scam not fail wrong boring",
    "neutral": "okay average fine ordinary normal information question average neither",
    "urgent": "asap immediately urgent now emergency stolen fraud right away blocked help critical",
    "high": "urgent asap immediately emergency stolen fraud critical blocked lost cannot",
    "low": "question wondering information suggestion curious later whenever idea feedback",
}
_OPPOSITES = {"positive": "negative", "negative": "positive"}
_REST = word_set(
    "other others neutral unknown none general misc miscellaneous general question out of scope n a"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """Labels with their scores, best first, and what speaks for the best one.

    Attributes:
        nearest: The example most like the text, if it has the winning label.
        shared: Words of the text that speak for the winning label, as written.
    """

    ranked: tuple[tuple[str, float], ...]
    nearest: Example | None = None
    shared: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The winning label."""
        return self.ranked[0][0]

    @property
    def confidence(self) -> float:
        """How clearly the best label wins, from 0 to 1."""
        if len(self.ranked) == 1:
            return 1.0
        first, second = self.ranked[0][1], self.ranked[1][1]
        if first <= 0:
            return round(1 / len(self.ranked), 2)
        return round(min(0.99, 0.5 + 0.5 * min(1.0, 2 * (first - second) / first)), 2)


@lru_cache(maxsize=4_096)
def features(text: str, polar: bool = False) -> Mapping[str, float]:
    """Return the weighted features of a text before rarity: stems, pairs, groups, n-grams.

    Args:
        text: Any text; the first 4,000 characters count.
        polar: Keep denied words ("not good") apart. It helps where labels are opinions, and
            hurts where they are topics.
    """
    found: defaultdict[str, float] = defaultdict(float)
    stems: list[str] = []
    denied = 0  # words that a negation still reaches
    for word in words(text[:_MOST_TEXT]):
        if word in STOP_WORDS:
            found["_" + word] += _FAINT
            continue
        one = stem(word)
        stems.append(one)
        if polar and word in NEGATIONS:
            denied = 3
        elif denied:
            denied -= 1
            found["!" + one] += _DENIED
            found[one] += 1.0 - _DENIED
            continue
        found[one] += 1.0
        for group in GROUPS.get(one, ()):
            found[f"~{group}"] += _GROUP
        if 4 <= len(one) <= 30 and one not in NEGATIONS:
            share = _GRAM * 2 / len(one)
            padded = f"^{one}$"
            for i in range(len(padded) - 2):
                found["#" + padded[i : i + 3]] += share
    for first, second in itertools.pairwise(stems):
        found[f"{first} {second}"] += _PAIR
    return {
        key: math.sqrt(value) * value**0.25 if value > 1 else value for key, value in found.items()
    }


def choose(
    text: str,
    labels: Sequence[Label],
    examples: Sequence[Example] = (),
    *,
    by_sentence: bool = False,
) -> Choice:
    """Choose one of the labels for a text.

    Args:
        text: What to label.
        labels: The allowed labels, at least one.
        examples: Labelled texts; those with other labels are left out.
        by_sentence: Reason sentence by sentence: judge each one alone, too, so that the story
            around a request does not drown it.
    """
    space = _Space(labels, examples)
    scores = space.scores(text)
    if by_sentence:
        parts = [part for part in sentences(text[:_MOST_TEXT])[:12] if len(part) > 8]
        if len(parts) > 1:
            scores = _merge(scores, [space.scores(part) for part in parts])
    # Ties (nothing speaks for any label) go to a label for the rest, then to the prompt's order.
    ranked = tuple(
        sorted(
            ((label.name, scores[label.name]) for label in labels),
            key=lambda item: (-item[1], spelled(item[0]) not in _REST),
        )
    )
    nearest = space.nearest(text, ranked[0][0])
    return Choice(ranked, nearest, space.shared(text, ranked[0][0]))


def _merge(whole: dict[str, float], parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Add to the whole text's scores, label by label, what its best sentence says."""
    return {name: whole[name] + max(part[name] for part in parts) for name in whole}


class _Space:
    """The TF-IDF space that labels and examples of one request span."""

    def __init__(self, labels: Sequence[Label], examples: Sequence[Example]) -> None:
        self._names = [label.name for label in labels]
        self._polar = any(spelled(name) in _OPPOSITES for name in self._names)
        by_key = {spelled(name): name for name in self._names}
        kept = [(e, by_key[spelled(e.output)]) for e in examples if spelled(e.output) in by_key]
        self._examples = kept[-_MOST_EXAMPLES:]
        raw = [features(example.text, self._polar) for example, _ in self._examples]
        prior = {label.name: _prior_features(label) for label in labels}
        documents = [*raw, *prior.values()]
        frequency = Counter(key for document in documents for key in document)
        self._count = len(documents)
        self._frequency = frequency
        self._vectors = [self._weigh(one) for one in raw]
        self._prior = {name: self._weigh(one) for name, one in prior.items()}
        self._centroids: dict[str, Vector] = {}
        members: Counter[str] = Counter(name for _, name in self._examples)
        for (_, name), vector in zip(self._examples, self._vectors, strict=True):
            centroid = self._centroids.setdefault(name, {})
            for key, value in vector.items():
                centroid[key] = centroid.get(key, 0.0) + value
        self._centroids = {name: _unit(vector) for name, vector in self._centroids.items()}
        self._members = members
        self._inverted: dict[str, list[tuple[int, float]]] = {}
        for number, vector in enumerate(self._vectors):
            for key, value in vector.items():
                self._inverted.setdefault(key, []).append((number, value))

    def _weigh(self, raw: Mapping[str, float]) -> Vector:
        rare = self._rarity
        return _unit({key: value * rare(key) for key, value in raw.items()})

    def _rarity(self, key: str) -> float:
        return math.log(1.0 + (self._count + 1.0) / (self._frequency.get(key, 0) + 0.5))

    def _similarities(self, vector: Vector) -> list[float]:
        found = [0.0] * len(self._vectors)
        for key, value in vector.items():
            for number, weight in self._inverted.get(key, ()):
                found[number] += value * weight
        return found

    def scores(self, text: str) -> dict[str, float]:
        vector = self._weigh(features(text, self._polar))
        similar = self._similarities(vector)
        best: dict[str, list[float]] = {}
        for (_, name), value in zip(self._examples, similar, strict=True):
            best.setdefault(name, []).append(value)
        scores = {}
        for name in self._names:
            near = sorted(best.get(name, ()), reverse=True)[:3]
            nearest = sum(v * w for v, w in zip(near, (0.7, 0.2, 0.1), strict=False))
            centroid = _dot(vector, self._centroids.get(name, {}))
            prior = _dot(vector, self._prior[name])
            fade = 1.0 / (1.0 + 0.15 * self._members[name])
            scores[name] = _NEAREST * nearest + _CENTROID * centroid + _PRIOR * fade * prior
        return scores

    def nearest(self, text: str, name: str) -> Example | None:
        similar = self._similarities(self._weigh(features(text, self._polar)))
        found = [(v, -i) for i, v in enumerate(similar) if self._examples[i][1] == name and v > 0]
        return self._examples[-max(found)[1]][0] if found else None

    def shared(self, text: str, name: str) -> tuple[str, ...]:
        """Return the words of a text that weigh most for a label, in order of the text."""
        target = dict(self._prior[name])
        for key, value in self._centroids.get(name, {}).items():
            target[key] = max(target.get(key, 0.0), value)
        weight: dict[str, float] = {}
        for word in words(text[:_MOST_TEXT]):
            one = stem(word)
            value = target.get(one, 0.0) + max(
                (target.get(f"~{group}", 0.0) * _GROUP for group in GROUPS.get(one, ())),
                default=0.0,
            )
            if value > 0 and word not in STOP_WORDS:
                weight.setdefault(word, value)
        best = sorted(weight, key=lambda word: -weight[word])[:4]
        return tuple(word for word in weight if word in best)


def _prior_features(label: Label) -> Mapping[str, float]:
    name = " ".join(name_words(label.name))
    known = _SENTIMENT_WORDS.get(name, "")
    found = dict(features(f"{name} {label.description}".strip()))
    for key, value in features(known).items() if known else ():
        if not key.startswith("#") and " " not in key:
            found[key] = max(found.get(key, 0.0), 0.5 * value)
    opposite = _OPPOSITES.get(name)
    for key in features(_SENTIMENT_WORDS[opposite]) if opposite else ():
        if not key.startswith(("#", "_", "~")) and " " not in key:
            found["!" + key] = 0.5
    for word in name_words(label.name):
        one = stem(word)
        if one in found:
            found[one] *= 1.5
    return found


def _unit(vector: Vector) -> Vector:
    norm = math.sqrt(sum(value * value for value in vector.values()))
    return {key: value / norm for key, value in vector.items()} if norm else vector


def _dot(first: Vector, second: Vector) -> float:
    if len(second) < len(first):
        first, second = second, first
    return sum(value * second[key] for key, value in first.items() if key in second)
