"""What typed output is filled from: text, its values, and its ``key: value`` pairs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from llmops_kernel.calls.offline.answering.rank import SentenceIndex
from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS
from llmops_kernel.calls.offline.language.text import GROUPS, name_stems, stem
from llmops_kernel.calls.offline.language.values import Kind, Value, find_values
from llmops_kernel.calls.offline.reading.prompt import Passage, Prompt

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.place import Target

_LONGEST = 40_000
_MOST_VALUES = 200
_MOST_ANCHORS = 150
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)?")
_PAIR = re.compile(
    r"[ \t]*(?:[-*•][ \t]+)?[*_`\"]{0,2}([^\W\d_][\w /()#.-]{0,38}?)[*_`\"]{0,2}"
    r"[ \t]*[:=][ \t]+(.+)$"
)
_INLINE_PAIR = re.compile(r"(?:^|,\s)([a-z][\w /-]{0,30}): ([^,]+)(?=,\s[a-z][\w /-]{0,30}: |$)")


@dataclass(frozen=True, slots=True)
class Anchor:
    """A word of the text that a property speaks of."""

    stem: str
    start: int
    end: int


class Material:
    """Text to fill typed output from, read lazily.

    Args:
        text: The text that values are taken from.
        prompt: The request it belongs to (question, examples, passages to cite).
        is_part: Whether it is one item of a larger text.
    """

    def __init__(self, text: str, prompt: Prompt, *, is_part: bool = False) -> None:
        self.text = text[:_LONGEST]
        self.prompt = prompt
        self.is_part = is_part
        self.used: list[tuple[int, int]] = []

    @classmethod
    def of(cls, prompt: Prompt) -> Material:
        """Take the text a prompt is about: its subject, else the given text, else the turn."""
        parts = [prompt.subject, prompt.given]
        if not any(part.strip() for part in parts):
            parts = [prompt.question]
        text = "\n".join(part for part in parts if part.strip())
        return cls(text or prompt.turn, prompt)

    def part(self, text: str) -> Material:
        """Return the material of one part of the text (an item, a claim)."""
        return Material(text, self.prompt, is_part=True)

    @cached_property
    def index(self) -> SentenceIndex:
        """The sentences of the text."""
        return SentenceIndex((Passage(self.text),))

    @cached_property
    def values(self) -> list[Value]:
        """All typed values of the text, in order."""
        return find_values(self.text)

    def of_kinds(self, kinds: tuple[Kind, ...]) -> list[Value]:
        """Return the values of some kinds, in order."""
        found = [value for value in self.values if value.kind in kinds][:_MOST_VALUES]
        return found or (self._operands if "number" in kinds else [])

    @cached_property
    def _operands(self) -> list[Value]:
        """The numbers inside arithmetic, for a text that holds no others."""
        return [
            Value("number", match.group(), value.start + match.start(), value.start + match.end())
            for value in self.values
            if value.kind == "expression"
            for match in re.finditer(r"\d+(?:\.\d+)?", self.text[value.start : value.end])
        ]

    @cached_property
    def tokens(self) -> list[Anchor]:
        """All words of the text with their places, as stems."""
        return [
            Anchor(stem(match.group().lower()), match.start(), match.end())
            for match in _WORD.finditer(self.text)
        ]

    @cached_property
    def pairs(self) -> list[tuple[frozenset[str], str, str]]:
        """The ``key: value`` lines as (stems of the key, key, value)."""
        found: list[tuple[frozenset[str], str, str]] = []
        for line in self.text.split("\n")[:2_000]:
            if len(line) > 2_000 or (":" not in line and "=" not in line):
                continue
            inline = _INLINE_PAIR.findall(line) if line.count(": ") > 1 else []
            if len(inline) > 1:
                found.extend((frozenset(name_stems(k)), k, v.strip()) for k, v in inline)
            elif match := _PAIR.match(line):
                value = match[2].strip().strip('"*`').rstrip(",;")
                found.append((frozenset(name_stems(match[1])), match[1].strip(), value))
        return found

    def anchors(self, stems: list[str]) -> list[Anchor]:
        """Return the words of the text that are, or mean, one of the stems."""
        wanted = {one for one in stems if one not in STOP_WORDS}
        groups = {group for one in wanted for group in GROUPS.get(one, ())}
        found = (
            token
            for token in self.tokens
            if token.stem in wanted
            or (groups and not groups.isdisjoint(GROUPS.get(token.stem, ())))
        )
        return list(islice(found, _MOST_ANCHORS))

    def word(self, anchor: Anchor) -> str:
        """Return an anchor's word as written, lower-case."""
        return self.text[anchor.start : anchor.end].lower()

    def paired(self, target: Target) -> str | None:
        """Return the value of the ``key: value`` line whose key is most like a property's name."""
        own = {stem(word) for word in target.words}
        best: tuple[float, str] | None = None
        for key, _, value in self.pairs:
            score = len(own & key) / len(own | key) if own and key else 0.0
            if score >= 0.5 and (best is None or score > best[0]):
                best = (score, value)
        return best[1] if best else None

    def gap(self, value: Value, anchors: list[Anchor], *, before_only: bool = False) -> int:
        """Return the distance in characters from a value to the nearest anchor (1,000 at most).

        Commas and the ends of sentences count extra: what stands beyond them speaks of others.
        """
        best = 1_000
        for anchor in anchors:
            if anchor.end <= value.start:
                low, high = anchor.end, value.start
            elif before_only:
                continue
            else:
                low, high = value.end, anchor.start
            gap = max(0, high - low)
            if gap >= best:
                continue
            between = self.text[low:high]
            gap += 25 * sum(between.count(mark) for mark in ",;(")
            gap += 120 * sum(between.count(mark) for mark in (". ", "! ", "? ", "\n"))
            if anchor.start >= value.end:
                gap += 6  # words mostly stand before the value they introduce
            best = min(best, gap)
        return best

    def use(self, value: Value) -> None:
        """Note that a value has been given to a property; others look elsewhere first."""
        self.used.append((value.start, value.end))

    def use_text(self, text: str, kinds: tuple[Kind, ...]) -> None:
        """Note that the first free value with this text has been given to a property."""
        for value in self.of_kinds(kinds):
            if value.text == text and not self.is_used(value):
                self.use(value)
                return

    def is_used(self, value: Value) -> bool:
        """Whether a value has been given to a property."""
        return any(start < value.end and value.start < end for start, end in self.used)
