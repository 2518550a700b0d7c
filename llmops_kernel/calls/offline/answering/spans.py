"""The short form of an answer: the amount, date, name or reason in a sentence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.extract import plain
from llmops_kernel.calls.offline.language.text import stem, words
from llmops_kernel.calls.offline.language.values import find_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.answering.questions import AnswerKind, Question
    from llmops_kernel.calls.offline.answering.rank import Sentence
    from llmops_kernel.calls.offline.language.values import Kind, Value


_SPAN_KINDS: dict[AnswerKind, tuple[Kind, ...]] = {
    "money": ("money", "percent", "number"),
    "count": ("number", "percent", "money", "duration"),
    "time": ("date", "time", "number", "duration"),
    "duration": ("duration", "date", "time"),
    "person": ("name",),
    "place": ("name",),
}
_CLAUSE = re.compile(
    r"\b(?:because|due to|since|so that|in order to|owing to)\b[^.;]{2,300}", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")


def shorten(question: Question, sentence: Sentence) -> str:
    """Return the short form of an answer: the amount, date, name or reason that was asked for."""
    text = plain(sentence)
    if question.kind == "reason" and (clause := _CLAUSE.search(text)):
        return clause.group().strip(" .,")
    kinds = _SPAN_KINDS.get(question.kind)
    if not kinds:
        return text
    values = find_values(text, frozenset(kinds))
    values = [v for v in values if not set(_stems_of(v.text)) & set(question.weights)]
    if not values:
        return text
    anchors = _anchors(text, question)
    best = min(
        values,
        key=lambda v: (
            kinds.index(v.kind) if len(kinds) < 4 else 0,
            _distance(text, v, anchors),
            v.start,
        ),
    )
    return best.text


def _stems_of(text: str) -> list[str]:
    return [stem(word) for word in words(text)]


def _anchors(text: str, question: Question) -> list[tuple[int, int]]:
    """Return where in a text the question's stems stand."""
    return [
        (match.start(), match.end())
        for match in _WORD.finditer(text)
        if stem(match.group().lower()) in question.weights
    ]


def _distance(text: str, value: Value, anchors: Sequence[tuple[int, int]]) -> int:
    """Count the characters to the nearest word of the question; clauses are further apart."""
    best = 1_000
    for start, end in anchors:
        low, high = (end, value.start) if end <= value.start else (value.end, start)
        gap = max(0, high - low)
        if gap < best:
            apart = sum(text.count(mark, low, high) for mark in ",;:—")
            best = min(best, gap + 30 * apart)
    return best
