"""What no step may change: what a person marked, code, quoted words, and the facts of a sentence.

Sentences are kept or dropped whole, so that no number loses its unit and no "not" its verb. What is
compared here are a sentence's facts, to tell repetition from a difference that matters.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.language.lexicon import NEGATIONS
from llmops_kernel.calls.offline.language.text import words

if TYPE_CHECKING:
    from collections.abc import Iterator

_FROZEN = re.compile(
    r"<keep>.*?</keep>"  # what the person marked
    r"|^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[^\n]*$"  # code
    r"|(?P<tick>`{1,2})[^`\n]+?(?P=tick)"
    r"|\"[^\"\n]{1,300}\"|\u201c[^\u201d\n]{1,300}\u201d|\u00ab[^\u00bb\n]{1,300}\u00bb",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
_TAG = re.compile(r"</?keep>", re.IGNORECASE)
_FIGURE = re.compile(r"[$\u20ac\u00a3\u00a5]?\s?\d+(?:[.,:/-]\d+)*\s?%?")
_QUOTED = re.compile(r"[\"\u201c\u00ab]([^\"\u201d\u00bb\n]{1,300})[\"\u201d\u00bb]")
_MONTH = re.compile(
    r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b",
    re.IGNORECASE,
)


def frozen_spans(text: str) -> list[tuple[int, int]]:
    """Return the places that stay byte-equal: ``<keep>`` spans, code, and quoted text."""
    return [match.span() for match in _FROZEN.finditer(text)]


def parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of a text in order, and whether each is frozen."""
    at = 0
    for start, end in frozen_spans(text):
        if start > at:
            yield text[at:start], False
        yield text[start:end], True
        at = end
    if at < len(text):
        yield text[at:], False


def is_marked(text: str) -> bool:
    """Whether a person marked something in the text to be kept."""
    return bool(_TAG.search(text))


def unmarked(text: str) -> str:
    """Return a text without the marks: models are not to read them."""
    return _TAG.sub("", text)


@lru_cache(maxsize=8_192)
def facts_of(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what tells two like sentences apart: figures, dates and quoted words in order; and
    negations.
    """  # noqa: D205 - one sentence
    figures = [" ".join(found.split()) for found in _FIGURE.findall(text)]
    named = [found.lower() for found in _MONTH.findall(text)]
    quoted = [found.lower() for found in _QUOTED.findall(text)]
    negated = [word for word in words(text) if word in NEGATIONS]
    return (*figures, *named, *quoted), tuple(negated)


def has_facts(text: str) -> bool:
    """Whether a sentence carries figures, dates, quoted words or a negation."""
    return any(facts_of(text))


def keeps_facts(before: str, after: str) -> bool:
    """Whether all figures, dates, quotes and negations of a text are still there, in order."""
    return facts_of(before) == facts_of(after)
