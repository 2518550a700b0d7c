"""Answers by selecting sentences: questions, summaries, lists, and the short form of an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.questions import Question, read_question
from llmops_kernel.calls.offline.language.text import sentences
from llmops_kernel.calls.offline.reading.prompt import Passage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.answering.rank import Match, Sentence, SentenceIndex

ENOUGH_SUPPORT = 0.25  # measured: nine in ten answerable questions pass, one in fourteen others

_POINTS_BACK = re.compile(
    r"(?:it|this|they|these|that|those|he|she|such|its|their|his|her|both|there)\b", re.IGNORECASE
)
_GOES_ON = re.compile(r"(?:then|next|after(?:wards| that)?|finally|otherwise)\b", re.IGNORECASE)
_MARK = re.compile(r"^(?:[-*•\u2013>]\s+|#{1,6}\s+|\(?\d{1,3}[.)]\s+|\|\s*)")
_NUMBERED = re.compile(r"^\(?\d{1,3}[.)]\s+")
_ITEM = re.compile(r"^(?:[-*•\u2013]\s+|\(?\d{1,3}[.)]\s+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """Sentences that answer a question, in the order of the text.

    Attributes:
        sentences: Empty when the text does not say.
        support: How well the text supports an answer (see `SentenceIndex.support`).
        index: Where the sentences come from.
        best: The sentence that answers best.
    """

    sentences: tuple[Sentence, ...]
    support: float
    index: SentenceIndex
    question: Question
    best: Sentence | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the passages used, in order, without repeats."""
        used = (self.index.passages[s.passage].label for s in self.sentences)
        return tuple(dict.fromkeys(label for label in used if label))


def find_answer(
    index: SentenceIndex,
    text: str,
    *,
    earlier: str = "",
    assumed: frozenset[str] = frozenset(),
    most: int = 2,
    skip: int = 0,
    enough: float = ENOUGH_SUPPORT,
) -> Finding:
    """Select the sentences that answer a question.

    Args:
        index: The sentences of the given text.
        text: The question, or a message to react to.
        earlier: The turn before it.
        assumed: See `read_question`.
        most: The most sentences to select.
        skip: Leave out this many of the best groups of sentences, for other variants.
        enough: The support below which nothing is selected.
    """
    question, matches, support = _best_reading(index, text, earlier, assumed)
    if support < enough or not matches:
        return Finding((), support, index, question)
    groups: list[tuple[Sentence, ...]] = []
    remaining = matches
    for _ in range(min(skip, 8) + 1):
        group = _group(index, remaining, question, most)
        taken = {sentence.index for sentence in group}
        groups.append(group)
        remaining = [m for m in remaining if m.sentence.index not in taken]
        if not remaining or remaining[0].coverage < 0.5 * matches[0].coverage:
            break
    chosen = groups[skip % len(groups)]
    best = next(m.sentence for m in matches if m.sentence in chosen)
    return Finding(chosen, support, index, question, best)


def _best_reading(
    index: SentenceIndex, text: str, earlier: str, assumed: frozenset[str]
) -> tuple[Question, list[Match], float]:
    """Read a question as a whole, and a long message also sentence by sentence."""
    question = read_question(text, earlier, assumed)
    matches = index.rank(question)
    support = index.support(question, matches)
    if len(question.weights) > 7:
        for part in sentences(text)[:10]:
            reading = read_question(part, "", assumed)
            if len(reading.weights) < 2:
                continue
            found = index.rank(reading)
            value = index.support(reading, found)
            if value > support:
                question, matches, support = reading, found, value
    return question, matches, support


def _group(
    index: SentenceIndex, matches: Sequence[Match], question: Question, most: int
) -> tuple[Sentence, ...]:
    best = matches[0]
    chosen = {best.sentence.index: best.sentence}
    seen = {_key(best.sentence)}
    covered = set(best.matched)
    compound = " and " in question.text or question.text.count("?") > 1
    steps = _siblings(index, best)
    if len(steps) > 1:
        return steps
    for match in matches[1:12]:
        if len(chosen) >= most:
            break
        adds = len(match.matched - covered) / max(1, len(question.weights))
        close = match.score >= 0.85 * best.score
        if _key(match.sentence) in seen or match.sentence.is_question:
            continue
        if not (compound or match.matched & best.matched):
            continue
        if best.has_kind and not match.has_kind and not compound:
            continue
        if close or (match.score >= 0.6 * best.score and adds >= 0.15):
            chosen[match.sentence.index] = match.sentence
            covered |= match.matched
            seen.add(_key(match.sentence))
    if most > 1:
        _complete(index, chosen, question, most)
    return tuple(sentence for _, sentence in sorted(chosen.items()))


def _key(sentence: Sentence) -> tuple[str, ...]:
    return sentence.stems


def _complete(
    index: SentenceIndex, chosen: dict[int, Sentence], question: Question, most: int
) -> None:
    """Add what a selected sentence leans on, and the step that follows an instruction."""
    for number in sorted(chosen):
        sentence = chosen[number]
        if number and _POINTS_BACK.match(_MARK.sub("", sentence.text)):
            before = index.sentences[number - 1]
            known = before.passage == sentence.passage and not before.is_heading
            if known and not before.is_question and len(chosen) < most + 1:
                chosen[before.index] = before
    if question.kind != "manner":
        return
    number = max(chosen) + 1
    while len(chosen) < most + 1 and number < len(index.sentences):
        after = index.sentences[number]
        linked = bool(set(after.stems) & set(question.weights)) and after.stems != ()
        if after.passage != chosen[number - 1].passage or after.is_heading:
            break
        if not _GOES_ON.match(after.text) and not (linked and _POINTS_BACK.match(after.text)):
            break
        chosen[number] = after
        number += 1


def _siblings(index: SentenceIndex, best: Match) -> tuple[Sentence, ...]:
    """When a heading's words make a list item match, the whole list answers."""
    sentence = best.sentence
    own = set(sentence.stems)
    carried = sum(one in sentence.carried for one in best.matched)
    only_carried = sum(one in sentence.carried and one not in own for one in best.matched)
    numbered = _NUMBERED.match(sentence.text) is not None
    whole = only_carried * 2 > len(best.matched) or (
        numbered and carried * 5 >= len(best.matched) * 3
    )
    if not whole or not _ITEM.match(sentence.text):
        return (sentence,)
    first = last = sentence.index
    everything = index.sentences
    while (
        first
        and everything[first - 1].carried == sentence.carried
        and not everything[first - 1].is_heading
    ):
        first -= 1
    while last + 1 < len(everything) and everything[last + 1].carried == sentence.carried:
        last += 1
    items = everything[first : min(last + 1, first + 8)]
    return tuple(s for s in items if s.passage == sentence.passage and not s.is_heading)


def plain(sentence: Sentence | str) -> str:
    """Return a sentence without the mark of a list item or heading."""
    text = sentence if isinstance(sentence, str) else sentence.text
    return _MARK.sub("", text).strip(" |\t")


def render(finding: Finding, *, cite: bool = False) -> str:
    """Write selected sentences as prose, or as a list when they are list items.

    Args:
        finding: What was selected.
        cite: Add the passage's name, ``[1]``, after each sentence.
    """
    parts: list[str] = []
    items = len(finding.sentences) > 2 and all(_ITEM.match(s.text) for s in finding.sentences)
    for sentence in finding.sentences:
        text = sentence.text if items else plain(sentence)
        label = finding.index.passages[sentence.passage].label
        if cite and label and f"[{label}]" not in text:
            text = f"{text} [{label}]"
        parts.append(text)
    if items:
        return "\n".join(parts)
    return " ".join(_ended(part) if i + 1 < len(parts) else part for i, part in enumerate(parts))


def _ended(text: str) -> str:
    return text if text[-1:] in ".!?:;。\uff01\uff1f]" else f"{text}."


def relevant_items(index: SentenceIndex, question: Question, most: int = 12) -> list[Sentence]:
    """Return every sentence that has to do with the question, in text order."""
    matches = index.rank(question)
    if not matches:
        return []
    floor = max(0.2, 0.45 * matches[0].coverage)
    kept = [m for m in matches[: most * 3] if m.coverage >= floor and not m.sentence.is_question]
    return sorted((m.sentence for m in kept[:most]), key=lambda sentence: sentence.index)


def passages_of(text: str) -> tuple[Passage, ...]:
    """Return a text as one passage."""
    return (Passage(text),) if text.strip() else ()
