"""Whether an answer is right: by the facts that the bank's questions are labelled with."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.text import content_stems, sentences

if TYPE_CHECKING:
    from llmops_kernel.labs.bank import Question

_OF_STATED = 0.8  # of the words of the sentences that state a fact
_TAG = re.compile(r"<[^>]{1,40}>")
_SHARE = 0.75  # of a fact's words; its figures must all be there
_REFUSAL = re.compile(
    r"\b(?:documents?|text|context|passages?|sources?|information)\b[^.]{0,40}"
    r"\b(?:do(?:es)? not|don't|doesn't|cannot|can't|no)\b",
    re.IGNORECASE,
)
# How often the small model is wrong where the large one is right, by kind of question. An
# assumption, because both simulated models are the same engine; a person's own judged answers
# take its place.
WEAKNESS = {
    "answerable": 0.02,
    "paraphrase": 0.05,
    "near_miss": 0.12,
    "indirect": 0.15,
    "unanswerable": 0.10,
    "injection": 0.20,
}


def holds(question: Question, text: str) -> bool:
    """Whether a text holds all key facts of a question: their figures, and most of their words.

    A question that the documents do not answer has none: there a refusal is right.
    """
    if not question.key_facts:
        return bool(_REFUSAL.search(text[:200]))
    have = _stems(text)
    return all(_has(fact, have) for fact in question.key_facts)


def reachable(question: Question, prompt: str) -> bool:
    """Whether a prompt holds what a right answer needs; for a refusal nothing is needed.

    Each key fact must stand there as the documents say it: most words of the sentences that state
    it, within two sentences that follow each other. The same figure elsewhere is no evidence.
    """
    if not question.key_facts:
        return True
    pieces = [_stems(each) for each in _sentences(prompt)]
    pairs = [one | other for one, other in pairwise([*pieces, frozenset()])]
    return all(
        any(
            _figures(fact) <= have and _covers(have, stated)
            for stated in _evidence(question, fact)
            for have in pairs
        )
        for fact in question.key_facts
    )


@lru_cache(maxsize=8_192)
def _evidence(question: Question, fact: str) -> tuple[frozenset[str], ...]:
    """Return the words of the sentences that state a fact, in the passages that hold it."""
    found = []
    for gold in question.gold:
        pieces = [_stems(each) for each in sentences(_TAG.sub(" ", gold.quote))]
        alone = [each for each in pieces if _has(fact, each)]
        pairs = [one | other for one, other in pairwise(pieces) if _has(fact, one | other)]
        found += alone or pairs or [frozenset().union(*pieces)]
    return tuple(found)


def _covers(have: frozenset[str], stated: frozenset[str]) -> bool:
    return len(have & stated) >= _OF_STATED * len(stated)


def is_beyond_small(question: Question, scale: float = 1.0) -> bool:
    """Whether the small model is declared to get a question wrong; the same in every run.

    Args:
        question: The question.
        scale: How many times as weak as declared it is taken to be.
    """
    digest = blake2b(question.id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 < scale * WEAKNESS[question.kind]


def _has(fact: str, have: frozenset[str]) -> bool:
    wanted = frozenset(content_stems(fact)) or frozenset(fact.lower().split())
    return _figures(fact) <= have and len(wanted & have) >= _SHARE * len(wanted)


@lru_cache(maxsize=8_192)
def _figures(fact: str) -> frozenset[str]:
    return frozenset(each for each in content_stems(fact) if each[0].isdigit())


@lru_cache(maxsize=512)
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(sentences(text))


@lru_cache(maxsize=65_536)
def _stems(text: str) -> frozenset[str]:
    return frozenset(content_stems(text)) | frozenset(text.lower().split())
