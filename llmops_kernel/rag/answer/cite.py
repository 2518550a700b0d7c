"""Checking an answer's statements against the passages they cite.

A check of words, not of meaning: a statement is borne out by a passage that has its figures and
most of its words. It finds invented figures and citations that point nowhere; whether a passage
*means* what the statement says is a judge's question.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.rag.retrieve.lexical import tokenize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.rag.answer.pack import Packed

_MARK = re.compile(r"\s*\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s*\[[\d,\s]+\])*\s+(?=[^\s\[])|\n+")
_REFUSAL = re.compile(
    r"\b(?:documents?|text|context|passages?|sources?|information)\b[^.]{0,40}"
    r"\b(?:do(?:es)? not|don't|doesn't|cannot|can't|no)\b[^.]{0,40}"
    r"\b(?:say|contain|mention|state|specify|include|provide|answer|cover|information)",
    re.IGNORECASE,
)
# Share of a statement's words that a passage must have to bear it out.
_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Checked:
    """An answer, compared with its passages.

    Attributes:
        statements: Its statements, without citation marks.
        supports: For each statement the numbers of the passages that bear it out.
        invented: Numbers that were cited and do not exist.
    """

    statements: tuple[str, ...]
    supports: tuple[tuple[int, ...], ...]
    invented: tuple[int, ...]

    @property
    def cited(self) -> set[int]:
        """The passages that the answer rests on."""
        return {number for numbers in self.supports for number in numbers}

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Statements that no passage bears out."""
        return tuple(
            text
            for text, numbers in zip(self.statements, self.supports, strict=True)
            if not numbers
        )


def is_refusal(text: str) -> bool:
    """Whether an answer says that the documents do not tell."""
    first = _MARK.sub("", text).strip()
    return len(first) < 200 and bool(_REFUSAL.search(first))


def check(text: str, packed: Sequence[Packed]) -> Checked:
    """Compare each statement of an answer with the passages it cites.

    A statement that cites nothing is compared with all passages.
    """
    by_number = {each.number: each for each in packed}
    passages = {number: _facts(each.chunk.embedded_text) for number, each in by_number.items()}
    statements, supports, invented = [], [], set()
    for sentence in _SENTENCE.split(text):
        marks = [int(n) for group in _MARK.findall(sentence or "") for n in group.split(",")]
        bare = _MARK.sub("", sentence or "").strip()
        words, figures = _facts(bare)
        if not words and not figures:
            continue
        invented |= {number for number in marks if number not in by_number}
        tried = [number for number in marks if number in by_number] or list(by_number)
        statements.append(bare)
        borne = [number for number in tried if _bears(words, figures, *passages[number])]
        # Without a mark the best passage is enough; naming all that share its words says nothing.
        supports.append(tuple(borne if marks else borne[:1]))
    return Checked(tuple(statements), tuple(supports), tuple(sorted(invented)))


def _bears(words: set[str], figures: set[str], has_words: set[str], has_figures: set[str]) -> bool:
    if not figures <= has_figures:
        return False
    return not words or len(words & has_words) >= _SHARE * len(words)


def _facts(text: str) -> tuple[set[str], set[str]]:
    figures = {figure.replace(",", "").rstrip(".") for figure in _NUMBER.findall(text)}
    words = {word for word in tokenize([text])[0] if not word.isdigit()}
    return words, figures
