"""Passages that questions are made from."""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from llmops_kernel.judge.data.dedupe import normalized

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PARAGRAPH = re.compile(r"\n\s*\n")
_TARGET = 1_200  # characters of a passage cut from a document
_SHORT = 80  # a passage with fewer has hardly a question in it


@runtime_checkable
class HasText(Protocol):
    """A chunk or a document: whatever has a text."""

    @property
    def text(self) -> str:
        """The text."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage.

    Attributes:
        id: The chunk's id, or one made from document and place.
        document: What all passages of one document share.
        text: The passage.
    """

    id: str
    document: str
    text: str


def passages_of(sources: Iterable[HasText]) -> list[Passage]:
    """Return the passages of chunks (as they are) and documents (cut between paragraphs).

    Passages with fewer than 80 characters and repeated ones are left out.
    """
    found: list[Passage] = []
    seen: set[str] = set()
    for place, source in enumerate(sources):
        chunk = str(getattr(source, "chunk_id", ""))
        document = str(
            getattr(source, "doc_id", "") or getattr(source, "source", "") or f"document {place}"
        )
        texts = [source.text] if chunk else _cut(source.text)
        for number, text in enumerate(texts):
            key = normalized(text)
            if len(text.strip()) < _SHORT or key in seen:
                continue
            seen.add(key)
            found.append(Passage(chunk or _made_id(document, number, text), document, text))
    return found


def _made_id(document: str, number: int, text: str) -> str:
    content = f"{document}\0{number}\0{text}".encode("utf-8", "replace")
    return hashlib.sha256(content).hexdigest()[:24]


def in_turn(passages: Sequence[Passage], seed: int) -> list[Passage]:
    """Return passages in a drawn order that takes one of each document before a second of any."""
    draw = random.Random(seed)  # noqa: S311
    by_document: dict[str, list[Passage]] = {}
    for passage in passages:
        by_document.setdefault(passage.document, []).append(passage)
    piles = list(by_document.values())
    draw.shuffle(piles)
    for pile in piles:
        draw.shuffle(pile)
    depth = max((len(pile) for pile in piles), default=0)
    return [pile[level] for level in range(depth) for pile in piles if level < len(pile)]


def nearest_passages(question: str, passages: Sequence[Passage], count: int) -> list[Passage]:
    """Return the passages that share most words with a question, rare words first."""
    words = set(normalized(question).split())
    held = [set(normalized(passage.text).split()) for passage in passages]
    weight = {word: 1 / (1 + sum(word in each for each in held)) for word in words}
    scores = [sum(weight[word] for word in words & each) for each in held]
    order = sorted(range(len(passages)), key=lambda place: (-scores[place], place))
    return [passages[place] for place in order[:count] if scores[place] > 0]


def _cut(text: str) -> list[str]:
    parts: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        if not paragraph.strip():
            continue
        if parts and len(parts[-1]) + len(paragraph) <= _TARGET:
            parts[-1] += f"\n\n{paragraph}"
        else:
            # A paragraph of many pages is cut hard; a question needs one place in it only.
            parts.extend(paragraph[at : at + _TARGET] for at in range(0, len(paragraph), _TARGET))
    return parts
