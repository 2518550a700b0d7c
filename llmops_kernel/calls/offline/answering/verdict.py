"""Judges texts against texts: is a claim supported, an answer relevant, two answers the same.

The measure is lexical: the weighted share of a claim's content that one sentence of the evidence
carries, undone by numbers, names or negations that disagree. It notices altered figures and
missing content well, and paraphrase or inference hardly at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from llmops_kernel.calls.offline.answering.extract import passages_of
from llmops_kernel.calls.offline.answering.questions import EVIDENCE, read_question
from llmops_kernel.calls.offline.answering.rank import Sentence, SentenceIndex
from llmops_kernel.calls.offline.language.lexicon import (
    NEGATIONS,
    NEGATIVE_VERDICTS,
    POSITIVE_VERDICTS,
    UNSURE_VERDICTS,
    word_set,
)
from llmops_kernel.calls.offline.language.text import is_negated, sentences, stem, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.reading.prompt import Passage, Prompt

Aspect = Literal["support", "contradiction", "relevance", "equivalence", "question"]

_OPPOSITES = {
    stem(a): stem(b)
    for pair in (
        "increase decrease", "more less", "more fewer", "maximum minimum", "before after",
        "allowed forbidden", "allow forbid", "open closed", "higher lower", "high low", "up down",
        "always never", "all none", "include exclude", "credit debit", "accept reject",
        "enable disable", "lost found", "most least", "first last", "true false", "win lose",
    )
    for a, b in (pair.split(), reversed(pair.split()))
}  # fmt: skip
_SUPPORTED_AT = 0.6
_MENTIONED_AT = 0.35

_CONTRADICTION = re.compile(
    r"contradict|hallucinat|unsupported|fabricat|made[- ]up|not supported|unfaithful|invent",
    re.IGNORECASE,
)
_SUPPORT = re.compile(
    (
        r"support|faithful|ground|infer|entail|attribut|consistent|back(?:s|ed) (?:up )?by"
        r"|derived|verif|factual"
    ),
    re.IGNORECASE,
)
_EQUIVALENCE = re.compile(
    r"correct|accura|match|equivalen|same (?:meaning|as)|agree|compare", re.IGNORECASE
)
_RELEVANCE = re.compile(
    (
        r"relevan|address|answers? the (?:question|query)|responsive|useful|helpful|on[- ]topic"
        r"|complete"
    ),
    re.IGNORECASE,
)
_GENERIC = frozenset(
    stem(w)
    for w in word_set(
        "message text review email customer statement ticket sentence user content document "
        "comment tweet question answer"
    )
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How well something holds.

    Attributes:
        score: From 0 (not at all) to 1.
        contradicted: Whether the evidence says otherwise.
        evidence: The sentence that decided, if there is one.
        reason: One sentence for people.
    """

    score: float
    contradicted: bool = False
    evidence: Sentence | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the score is high enough to say yes."""
        return self.score >= _SUPPORTED_AT and not self.contradicted

    @property
    def mentioned(self) -> bool:
        """Whether the evidence speaks of it at all."""
        return self.contradicted or self.score >= _MENTIONED_AT


def aspect_of(text: str, prompt: Prompt) -> Aspect:
    """Say what a judge is asked to look at, from wording and from what was given."""
    if not prompt.candidates:
        return "question"
    if _CONTRADICTION.search(text) and not re.search(
        r"(?i)faithful|groundedness|is (?:\w+ ){0,3}supported", text
    ):
        return "contradiction"
    if _RELEVANCE.search(text) and not _SUPPORT.search(text):
        return "relevance"
    if prompt.reference and (_EQUIVALENCE.search(text) or not prompt.passages):
        return "equivalence"
    if prompt.passages:
        return "support"
    return "equivalence" if prompt.reference else "relevance"


def judge(prompt: Prompt, aspect: Aspect, candidate: str | None = None) -> Verdict:
    """Judge a candidate (default: the prompt's first one) in one aspect.

    For ``contradiction`` the score says how far the candidate is *not* supported.
    """
    if candidate is None:
        candidate = prompt.candidates[0].text if prompt.candidates else prompt.subject
    if aspect == "relevance":
        return relevance(prompt.question, candidate)
    if aspect == "equivalence":
        return equivalence(candidate, prompt.reference)
    index = SentenceIndex(prompt.passages or passages_of(prompt.subject) or prompt.memory)
    if aspect == "question":
        return holds_in(index, prompt.question)
    found = supported(index, candidate)
    if aspect == "contradiction":
        score = 1.0 if found.contradicted else 1.0 - found.score
        return Verdict(score, False, found.evidence, found.reason)
    return found


def supported(index: SentenceIndex, claim: str) -> Verdict:
    """Say how well evidence supports a claim of one or several sentences."""
    verdicts = [claim_support(index, one) for one in sentences(claim)[:30] if words(one)]
    if not verdicts:
        return Verdict(0.0, reason="There is nothing to check.")
    worst = min(verdicts, key=lambda verdict: (not verdict.contradicted, verdict.score))
    score = sum(v.score for v in verdicts) / len(verdicts)
    return Verdict(score, worst.contradicted, worst.evidence, worst.reason)


def claim_support(index: SentenceIndex, claim: str) -> Verdict:
    """Say how well evidence supports one sentence."""
    question = read_question(claim)
    weights = {one: max(w, 0.5) for one, w in question.weights.items() if one not in NEGATIONS}
    if not weights:
        return Verdict(0.0, reason="There is nothing to check.")
    claim_words = words(claim)
    best = Verdict(0.0, reason="The text does not mention this.")
    for match in index.rank(question)[:5]:
        total = sum(w * index.rarity(one) for one, w in weights.items())
        part = sum(w * index.rarity(one) for one, w in weights.items() if one in match.matched)
        verdict = _weigh(claim, claim_words, match.sentence, part / total)
        if (verdict.score, verdict.contradicted) > (best.score, best.contradicted):
            best = verdict
    return best


def _weigh(claim: str, claim_words: Sequence[str], sentence: Sentence, share: float) -> Verdict:
    quote = f'"{sentence.text}"'
    if share >= 0.4:
        wrong = _other_numbers(claim_words, sentence.tokens)
        if wrong:
            return Verdict(0.15, True, sentence, f"The text gives other figures: {quote}")
    if share >= 0.5:
        if is_negated(claim_words) != is_negated(sentence.tokens):
            return Verdict(0.15, True, sentence, f"The text says the opposite: {quote}")
        own = {stem(word) for word in claim_words}
        there = set(sentence.stems)
        if any(_OPPOSITES.get(one) in there and one not in there for one in own):
            return Verdict(0.2, True, sentence, f"The text says otherwise: {quote}")
    if share >= 0.45 and _numbers(claim_words) and not _numbers(claim_words) - set(sentence.tokens):
        share += 0.12  # the same figures: most likely the same fact in other words
    strange = [
        n for n in _names(claim) if stem(n.lower()) not in set(sentence.stems) | sentence.carried
    ]
    if strange and share < 0.95:
        share *= 0.6
    reason = (
        f"The text says: {quote}" if share >= _MENTIONED_AT else "The text does not mention this."
    )
    return Verdict(min(1.0, share), False, sentence, reason)


def _numbers(tokens: Sequence[str]) -> set[str]:
    return {token for token in tokens if token[:1].isdigit()}


def _other_numbers(claim: Sequence[str], evidence: Sequence[str]) -> bool:
    asked, there = _numbers(claim), _numbers(evidence)
    return bool(asked - there) and bool(there)


def _names(text: str) -> list[str]:
    return re.findall(r"(?<=[\w,;] )[A-ZÀ-ÖØ-Þ][\w\u2019'-]+", text)


def relevance(question: str, answer: str) -> Verdict:
    """Say how well a text addresses a question."""
    reading = read_question(question)
    index = SentenceIndex(passages_of(answer))
    weights = {one: w for one, w in reading.weights.items() if one not in NEGATIONS}
    if not weights or not index.sentences:
        return Verdict(0.0, reason="There is nothing to compare.")
    matches = index.rank(reading)
    seen = frozenset().union(*(m.matched for m in matches)) if matches else frozenset()
    share = sum(w for one, w in weights.items() if one in seen) / sum(weights.values())
    pattern = EVIDENCE.get(reading.kind)
    if pattern is not None:
        share = min(1.0, share + 0.25) if pattern.search(answer) else share * 0.7
    evidence = matches[0].sentence if matches else None
    reason = (
        "It speaks of what was asked."
        if share >= _SUPPORTED_AT
        else "It hardly speaks of what was asked."
    )
    return Verdict(share, False, evidence, reason)


def equivalence(candidate: str, reference: str) -> Verdict:
    """Say how far a text says the same as a reference (F1 of content, figures must agree)."""
    given, wanted = words(candidate), words(reference)
    first = {stem(w) for w in given if w not in NEGATIONS}
    second = {stem(w) for w in wanted if w not in NEGATIONS}
    content = {one for one in second if len(one) > 2 or one[:1].isdigit()} or second
    if not first or not content:
        return Verdict(0.0, reason="There is nothing to compare.")
    recall = len(content & first) / len(content)
    precision = len(first & second) / len(first)
    if _numbers(wanted) - _numbers(given):
        return Verdict(min(0.2, recall), True, None, "The figures differ from the reference.")
    if recall >= 0.5 and is_negated(given) != is_negated(wanted):
        return Verdict(0.15, True, None, "One of them denies what the other states.")
    score = max(recall * 0.9, 2 * precision * recall / (precision + recall)) if recall else 0.0
    reason = (
        "It agrees with the reference."
        if score >= _SUPPORTED_AT
        else "It differs from the reference."
    )
    return Verdict(score, False, None, reason)


def holds_in(index: SentenceIndex, question: str) -> Verdict:
    """Answer a yes/no question from text."""
    reading = read_question(question)
    matches = index.rank(reading)
    weights = {one: w for one, w in reading.weights.items()
               if one not in NEGATIONS and one not in _GENERIC}  # fmt: skip
    if not matches or not weights:
        return Verdict(0.0, reason="The text does not say.")
    best = matches[0]
    total = sum(w * index.rarity(one) for one, w in weights.items())
    share = sum(w * index.rarity(one) for one, w in weights.items() if one in best.matched) / total
    return _weigh(question, words(question), best.sentence, min(1.0, share * 1.15))


def word_for(verdict: Verdict, names: Sequence[str]) -> str | None:
    """Choose among verdict names (``yes``/``no``, ``supported``/``contradicted``/...).

    Returns:
        The name as written, or None when the names are not verdicts.
    """
    sides = {name: polarity(name) for name in names}
    if not any(side == "good" for side in sides.values()) or None in sides.values():
        return None
    bad = [name for name, side in sides.items() if side == "bad"]
    unsure = [name for name, side in sides.items() if side == "unsure"]
    if verdict.holds:
        return next(name for name, side in sides.items() if side == "good")
    if verdict.contradicted:
        against = [name for name in bad if "contradict" in name.lower() or "refute" in name.lower()]
        return next(iter(against or bad or unsure), None)
    partly = [name for name in unsure if "partial" in name.lower()]
    if partly and verdict.mentioned:
        return partly[0]
    rest = [name for name in unsure if name not in partly]
    if not rest:
        milder = [name for name in bad if "contradict" not in name.lower()]
        return next(iter(milder or bad or unsure), None)
    return rest[0]


def polarity(name: str) -> Literal["good", "bad", "unsure"] | None:
    """Return the side a verdict's name is on; None when it is no verdict."""
    key = re.sub(r"[^a-z]+", "_", name.lower()).strip("_")
    if key in POSITIVE_VERDICTS:
        return "good"
    if key in NEGATIVE_VERDICTS or key.removeprefix("not_") in POSITIVE_VERDICTS:
        return "bad"
    if key in UNSURE_VERDICTS or "not_mention" in key or "not_enough" in key:
        return "unsure"
    return None


def compare(prompt: Prompt, candidates: Sequence[Passage]) -> list[float]:
    """Score rival answers by what they were asked, and by what was given to answer from."""
    scores = []
    index = SentenceIndex(prompt.passages) if prompt.passages else None
    for candidate in candidates:
        score = relevance(prompt.question, candidate.text).score
        if prompt.reference:
            score += 2 * equivalence(candidate.text, prompt.reference).score
        elif index is not None:
            found = supported(index, candidate.text)
            score += 0.0 if found.contradicted else 2 * found.score
        scores.append(round(score, 6))
    return scores
