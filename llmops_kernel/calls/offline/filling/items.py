"""Finds what an array is made of: records, claims, sentences, values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.answering.extract import find_answer, plain, relevant_items
from llmops_kernel.calls.offline.answering.questions import read_question
from llmops_kernel.calls.offline.answering.rank import SentenceIndex
from llmops_kernel.calls.offline.filling.kinds import kinds_for
from llmops_kernel.calls.offline.filling.place import Target
from llmops_kernel.calls.offline.language.figures import number_of
from llmops_kernel.calls.offline.language.lexicon import STOP_WORDS, word_set
from llmops_kernel.calls.offline.language.text import sentences, stem

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.schema import Schema

_CITED = word_set(
    "citation citations source sources reference references passage passages document "
    "documents cited ids context"
)
_CLAIMED = word_set("claim claims statement statements verdict verdicts")
_WORDS = word_set("keyword keywords tag tags term terms topic topics")
_SENTENCES = word_set(
    "sentence sentences fact facts point points step steps quote quotes evidence highlight"
    " highlights item items reason reasons question questions key takeaway takeaways finding"
    " findings action actions recommendation recommendations"
)
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\(?\d{1,3}[.)])[ \t]+", re.MULTILINE)
_MOST = 20


@dataclass(frozen=True, slots=True)
class Item:
    """One element of an array: a finished value, or the text to fill it from."""

    value: Any = None
    text: str | None = None


def items_for(
    schema: Schema, types: tuple[str, ...], target: Target, material: Material
) -> list[Item]:
    """Return the elements the text gives for an array whose items have this schema."""
    own = target.known
    if "object" in types:
        return [Item(text=text) for text in _records(schema, own, material)]
    if "array" in types:
        return [Item(text=line) for line in _lines(material.text) if "," in line]
    if "number" in types or "integer" in types:
        return _numbers(own, target, material)
    if "boolean" in types or types == ("null",):
        return []
    return [Item(value=text) for text in dict.fromkeys(_strings(own, target, material)) if text][
        :_MOST
    ]


def _records(schema: Schema, own: frozenset[str], material: Material) -> list[str]:
    """An object per claim, per list item, per table row, or per sentence with several values."""
    inner = {word for name in schema.get("properties") or {} for word in Target(name).words}
    prompt = material.prompt
    if prompt.candidates and not (own | inner).isdisjoint(_CLAIMED | {"sentence"}):
        return sentences(prompt.candidates[0].text)[:_MOST]
    if (
        not own.isdisjoint({"contexts", "context", "passages", "chunks", "documents"})
        and prompt.passages
    ):
        return [passage.text for passage in prompt.passages][:_MOST]
    items = _items(material.text)
    if len(items) >= 2:
        return items[:_MOST]
    if material.is_part:
        return []  # a part of a part would only repeat it
    found = sentences(material.text)[:_MOST]
    if len(found) > 1:
        rich = [one for one in found if any(ch.isdigit() for ch in one)]
        found = rich or found
    return found


def _items(text: str) -> list[str]:
    marks = [match.start() for match in _ITEM.finditer(text)]
    if len(marks) < 2:
        rows = [row for row in text.split("\n") if row.count("|") >= 2 or row.count(";") >= 2]
        return rows[1:] if len(rows) > 2 else []
    ends = [*marks[1:], len(text)]
    found = [text[start:end].split("\n\n")[0] for start, end in zip(marks, ends, strict=True)]
    return [plain(item.strip()) for item in found]


def _lines(text: str) -> list[str]:
    return [plain(line) for line in text.split("\n") if line.strip()][:_MOST]


def _numbers(own: frozenset[str], target: Target, material: Material) -> list[Item]:
    prompt = material.prompt
    if not own.isdisjoint(_CITED) and prompt.passages:
        labels = [label for label in _cited(material) if label.isdigit()]
        return [Item(value=int(label)) for label in labels]
    kinds = tuple(k for k in kinds_for(target) if k in {"money", "percent", "number", "duration"})
    values = material.of_kinds(kinds or ("number", "money", "percent"))
    numbers = (number_of(value.text) for value in values)
    return [Item(value=int(n) if n == int(n) else n) for n in numbers if n is not None][:_MOST]


def _cited(material: Material) -> tuple[str, ...]:
    index = SentenceIndex(material.prompt.passages)
    return find_answer(index, material.prompt.question, most=3).labels


def _strings(own: frozenset[str], target: Target, material: Material) -> list[str]:
    prompt = material.prompt
    if not own.isdisjoint(_CITED) and any(passage.label for passage in prompt.passages):
        return list(_cited(material))
    if not own.isdisjoint(_CLAIMED):
        text = prompt.candidates[0].text if prompt.candidates else material.text
        return sentences(text)
    if not own.isdisjoint(_WORDS):
        return _keywords(material)
    kinds = kinds_for(Target(target.name.rstrip("s"), target.description))
    if kinds:
        return [value.text for value in material.of_kinds(kinds[:1])] or [
            value.text for value in material.of_kinds(kinds)
        ]
    items = [item for item in _items(material.text) if len(item) < 400]
    if items:
        return items
    if not own.isdisjoint(_SENTENCES):
        found = relevant_items(material.index, read_question(prompt.question), 8)
        return [plain(sentence) for sentence in found] or sentences(material.text)[:5]
    listed = _after(own, material)
    return listed or [
        value.text
        for value in material.of_kinds(("name",))
        if not own.isdisjoint({"entities", "people", "persons", "companies"})
    ]


def _after(own: frozenset[str], material: Material) -> list[str]:
    """Read an enumeration that follows the array's name: ``ingredients are a, b and c``."""
    for anchor in material.anchors([stem(word) for word in own]):
        tail = re.match(
            r"[^.:;\n]{0,20}(?::| are| is| include[sd]?| such as| like)\s+([^.;\n!?]{2,300})",
            material.text[anchor.end : anchor.end + 340],
        )
        if tail:
            parts = re.split(r",\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+", tail[1])
            return [part.strip(" \"'") for part in parts if part.strip(" \"'")]
    return []


def _keywords(material: Material) -> list[str]:
    """The text's most telling words, as written."""
    count: dict[str, tuple[int, str]] = {}
    for token in material.tokens:
        word = material.text[token.start : token.end]
        if len(word) > 3 and word.lower() not in STOP_WORDS and not word.isdigit():
            seen, first = count.get(token.stem, (0, word.lower()))
            count[token.stem] = (seen + 1, first)
    ranked = sorted(
        count.items(), key=lambda item: (-item[1][0], -material.index.rarity(item[0]), item[0])
    )
    return [word for _, (_, word) in ranked[:6]]
