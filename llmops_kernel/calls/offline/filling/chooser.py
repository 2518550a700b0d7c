"""Chooses among a schema's allowed values, and remembers why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump
from llmops_kernel.calls.offline.answering.classify import Choice, choose
from llmops_kernel.calls.offline.answering.verdict import (
    Verdict,
    aspect_of,
    judge,
    polarity,
    word_for,
)
from llmops_kernel.calls.offline.filling.flags import boolean_for
from llmops_kernel.calls.offline.filling.numbers import measure_for, number_for
from llmops_kernel.calls.offline.filling.strings import string_for
from llmops_kernel.calls.offline.reading.examples import Example, Label, find_labels

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.draw import Draw
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.place import Filled, Place, Target

_MOST_VALUES = 2_000


class Chooser:
    """Chooses for one reply.

    Args:
        material: All the text, with its prompt.
        by_sentence: Reason sentence by sentence.
        draw: Which variant to choose.

    Attributes:
        choice: The first choice made; reasons and confidence speak of it.
        verdict: The last verdict reached.
    """

    def __init__(self, material: Material, *, by_sentence: bool, draw: Draw) -> None:
        self._all = material
        self._by_sentence = by_sentence
        self._draw = draw
        self._told = f"{material.prompt.label_text}\n{material.prompt.instruction}"
        self.choice: Choice | None = None
        self.verdict: Verdict | None = None

    def pick(
        self, values: Sequence[Any], place: Place, described: Mapping[str, str] | None = None
    ) -> Filled:
        """Choose one of the values.

        Args:
            values: The allowed values, at least one.
            place: Where the value goes.
            described: What values stand for, by name, where the schema says so itself.
        """
        by_name = {name_of(value): value for value in values[:_MOST_VALUES] if value is not None}
        names = list(by_name)
        if len(values) == 1 or not names:
            return values[0], 0.3
        verdict = self._verdict_for(names, place)
        if verdict is not None:
            return by_name[verdict], 0.8
        if all(_is_number(value) for value in by_name.values()):
            return self._pick_number(list(by_name.values()), place)
        if all(isinstance(value, bool) for value in by_name.values()):
            flag, evidence = boolean_for(place.target, place.material)
            if flag is None and None in values:
                return None, 0.0
            return by_name.get(dump(bool(flag)), by_name[names[0]]), evidence
        examples = self.examples(place.path)
        written = _written(names, place) if not examples else None
        if written is not None:
            return by_name[written], 0.8
        choice = self.choose(self._labels(names, place.target, described), examples, place.material)
        if choice.ranked[0][1] <= 0 and None in values:
            return None, 0.0
        return by_name[choice.label], 0.7 if choice.ranked[0][1] > 0.02 else 0.1

    def several(self, values: Sequence[Any], place: Place) -> list[Any]:
        """Choose all values that clearly fit."""
        by_name = {name_of(value): value for value in values[:_MOST_VALUES]}
        labels = self._labels(list(by_name), place.target)
        choice = choose(place.material.text, labels, self.examples(place.path))
        top = choice.ranked[0][1]
        fitting = [name for name, score in choice.ranked if score > 0.03 and score >= 0.5 * top]
        return [by_name[name] for name in fitting]

    def demonstrated(self, place: Place) -> str | None:
        """Choose a free string whose values in the examples are labels; None if they are not."""
        examples = self.examples(place.path)
        names = list(dict.fromkeys(example.output for example in examples))
        if len(examples) < 3 or len(names) * 1.5 > len(examples):
            return None
        if any(e.output in e.text for e in examples) or len(max(names, key=len)) > 40:
            return None
        return self.choose([Label(name) for name in names], examples, place.material).label

    def choose(
        self, labels: Sequence[Label], examples: Sequence[Example], material: Material
    ) -> Choice:
        """Classify the material's text, or the question when there is text to answer it from."""
        text = material.text
        prompt = material.prompt
        if prompt.passages and not prompt.subject and material is self._all and prompt.question:
            text = prompt.question
        choice = choose(text, labels, examples, by_sentence=self._by_sentence)
        choice = self._draw.vary(choice)
        self.choice = self.choice or choice
        return choice

    def examples(self, path: tuple[str, ...]) -> list[Example]:
        """Return the examples whose output has a value at a path, with that value."""
        found = []
        for example in self._all.prompt.examples:
            value = example.data
            if value is None and len(path) == 1 and example.output:
                found.append(example)
                continue
            for key in path:
                value = value.get(key) if isinstance(value, Mapping) else None
            if isinstance(value, str | int | float | bool):
                found.append(Example(example.text, name_of(value)))
        return found

    def reason(self, material: Material) -> str | None:
        """Say why, from what has been decided so far."""
        if self.verdict is not None and self.verdict.reason:
            return self.verdict.reason
        if self.choice is None or not self.choice.shared:
            return None
        telling = _telling_sentence(material, self.choice.shared)
        named = f'"{telling}"' if telling else ", ".join(self.choice.shared)
        return f"{named} speaks for {self.choice.label}."

    def _labels(
        self, names: Sequence[str], target: Target, described: Mapping[str, str] | None = None
    ) -> list[Label]:
        told = re.sub(r"[;|]", "\n", target.description) + "\n" + self._told
        labels = find_labels(told, names)
        if not described:
            return labels
        return [Label(one.name, described.get(one.name) or one.description) for one in labels]

    def _verdict_for(self, names: Sequence[str], place: Place) -> str | None:
        """Judge, when the values are verdicts and there is something to judge."""
        prompt = place.material.prompt
        if any(polarity(name) is None for name in names):
            return None
        part = None if place.material is self._all else place.material.text
        if not prompt.candidates and (part is None or not (prompt.passages or prompt.reference)):
            return None
        spelled = f"{' '.join(place.target.words)} {place.target.description}"
        aspect = aspect_of(f"{spelled} {prompt.instruction}", prompt)
        if part is not None and aspect == "question":
            aspect = "support"
        self.verdict = judge(prompt, aspect, part)
        return word_for(self.verdict, names)

    def _pick_number(self, values: list[Any], place: Place) -> Filled:
        verdict = measure_for(place.target, place.material)
        if verdict is not None:
            self.verdict = verdict
            ordered = sorted(values)
            return ordered[round(verdict.score * (len(ordered) - 1))], 0.8
        found, evidence = number_for(place.target, place.material, whole=False)
        if found is None:
            return values[0], 0.0
        return min(values, key=lambda value: abs(value - found)), evidence


def name_of(value: Any) -> str:
    """Return the name a value is chosen by: a string itself, else its JSON."""
    return value if isinstance(value, str) else dump(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(names: Sequence[str], place: Place) -> str | None:
    """Return the label that the text itself gives for a property, as in ``Priority: high``."""
    if not place.material.pairs:
        return None
    found, evidence = string_for(place.target, place.material)
    if found is None or evidence < 1.0:
        return None
    return next((name for name in names if name.lower() == found.lower().strip(" .")), None)


def _telling_sentence(material: Material, shared: Sequence[str]) -> str:
    best, count = "", 0
    for sentence in material.index.sentences:
        hits = sum(word in sentence.tokens for word in shared)
        if hits > count:
            best, count = sentence.text, hits
    return best
