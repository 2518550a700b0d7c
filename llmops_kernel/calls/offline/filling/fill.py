"""Fills a JSON schema from text, so that the value validates and says what the text says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.answering.classify import choose
from llmops_kernel.calls.offline.draw import Draw
from llmops_kernel.calls.offline.filling.chooser import Chooser, name_of
from llmops_kernel.calls.offline.filling.conform import conform_number, conform_string
from llmops_kernel.calls.offline.filling.flags import boolean_for
from llmops_kernel.calls.offline.filling.kinds import kinds_for
from llmops_kernel.calls.offline.filling.numbers import measure_for, number_for
from llmops_kernel.calls.offline.filling.place import Filled, Place, Target
from llmops_kernel.calls.offline.filling.placeholders import OTHERS, plainest
from llmops_kernel.calls.offline.filling.schema import (
    SchemaReader,
    bounds_of,
    listed,
    options_of,
    types_of,
)
from llmops_kernel.calls.offline.filling.shapes import CONFIDENCE_WORDS, REASON_WORDS, ShapeFiller
from llmops_kernel.calls.offline.filling.strings import string_for
from llmops_kernel.calls.offline.filling.validity import valid
from llmops_kernel.calls.offline.language.lexicon import word_set
from llmops_kernel.calls.offline.reading.examples import Label

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.material import Material
    from llmops_kernel.calls.offline.filling.schema import Schema

_MOST_NODES = 3_000
_MOST_DEPTH = 24
_NULL_EVIDENCE = 0.24  # what a value must beat where null is allowed too
_SCORE_WORDS = word_set(
    "score rating grade relevance faithfulness correctness quality groundedness support"
)
_SCALE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|\u2013|to|and|\.\.)\s*(\d+(?:\.\d+)?)")


class Filler:
    """Fills one schema.

    Args:
        schema: The JSON schema.
        material: The text to fill from, with its prompt.
        by_sentence: Reason sentence by sentence when choosing. A schema that puts reasons before
            its other properties asks for it, too.
        draw: Which variant to write.
    """

    def __init__(
        self,
        schema: Schema,
        material: Material,
        *,
        by_sentence: bool = False,
        draw: Draw | None = None,
    ) -> None:
        self._reader = SchemaReader(schema)
        self._material = material
        reasons = by_sentence or _asks_for_reasons(self._reader)
        self._chooser = Chooser(material, by_sentence=reasons, draw=draw or Draw())
        self._shapes = ShapeFiller(self._reader, self._chooser, self._value, self._is_full)
        self._nodes = 0

    def fill(self) -> Any:
        """Return a value for the whole schema."""
        return self._value(self._reader.root, Place(Target(""), (), self._material))[0]

    def missing(self) -> list[str]:
        """Return the required properties for which the text gave nothing, once filled."""
        required = listed(self._reader.flat(self._reader.root) or {}, "required")
        return [name for name in required if self._shapes.evidence.get(name, 0.0) < 0.25]

    def _is_full(self) -> bool:
        return self._nodes > _MOST_NODES

    def _value(self, schema: Any, place: Place) -> Filled:
        self._nodes += 1
        flat = self._reader.flat(schema)
        if flat is None or place.depth > _MOST_DEPTH:
            return None, 0.0
        if self._is_full():
            return plainest(self._reader, flat), 0.0
        if "const" in flat:
            return flat["const"], 0.3
        if flat.get("enum"):
            fitting = [value for value in flat["enum"][:2_000] if self._fits(value, flat)]
            return self._chooser.pick(fitting or flat["enum"][:1], place)
        options = options_of(flat)
        filled = self._option(flat, options, place) if options else self._typed(flat, place)
        if "if" in flat or "not" in flat:
            filled = self._conditional(flat, filled, place)
        return filled

    def _fits(self, value: Any, flat: Schema) -> bool:
        rest = {key: part for key, part in flat.items() if key != "enum"}
        return valid(self._reader, value, rest)

    def _typed(self, flat: Schema, place: Place) -> Filled:
        """Fill a value of the type that the text speaks for most."""
        types = types_of(flat) or ("string",)
        best: Filled | None = None
        for kind in types:
            if kind != "null":
                filled = self._of_type(kind, flat, place)
                best = filled if best is None or filled[1] > best[1] else best
        if best is None or ("null" in types and best[1] <= _NULL_EVIDENCE):
            return None, 0.0
        if best[1] <= 0 and "default" in flat and valid(self._reader, flat["default"], flat):
            return flat["default"], 0.1
        return best

    def _of_type(self, kind: str, flat: Schema, place: Place) -> Filled:
        match kind:
            case "object":
                return self._shapes.object(flat, place)
            case "array":
                return self._shapes.array(flat, place)
            case "boolean":
                flag, evidence = boolean_for(place.target, place.material)
                return bool(flag), evidence
            case "number" | "integer":
                return self._number(flat, place, whole=kind == "integer")
            case _:
                return self._string(flat, place)

    def _string(self, flat: Schema, place: Place) -> Filled:
        target, material = place.target, place.material
        if target.known & REASON_WORDS and (reason := self._chooser.reason(material)):
            return conform_string(reason, flat, material.text), 0.7
        demonstrated = self._chooser.demonstrated(place)
        if demonstrated is not None:
            return conform_string(demonstrated, flat, material.text), 0.6
        found, evidence = string_for(target, material)
        if found is not None and evidence < 1.0:
            material.use_text(found, kinds_for(target))
        if found is None and isinstance(flat.get("pattern"), str):
            written = conform_string(None, flat, material.text)
            return written, 0.6 if written and written in material.text else 0.0
        return conform_string(found, flat, material.text, ".".join(place.path)), evidence

    def _number(self, flat: Schema, place: Place, *, whole: bool) -> Filled:
        target = place.target
        if target.known & CONFIDENCE_WORDS:
            share = self._chooser.choice.confidence if self._chooser.choice else 0.5
            return _scaled(share, flat, target.description, whole=whole), 0.6
        if target.known & _SCORE_WORDS and (verdict := measure_for(target, place.material)):
            self._chooser.verdict = verdict
            told = f"{target.description}\n{place.material.prompt.instruction}"
            return _scaled(verdict.score, flat, told, whole=whole), 0.8
        found, evidence = number_for(target, place.material, whole=whole)
        low, _, high, _ = bounds_of(flat)
        if found is not None and not low <= found <= high:
            evidence = min(evidence, 0.2)
        return conform_number(found, flat, whole=whole), evidence

    def _option(self, flat: Schema, options: Sequence[Any], place: Place) -> Filled:
        """Fill the branch that fits the text best."""
        branches = [self._reader.flat(option) for option in options]
        if all(branch is not None and "const" in branch for branch in branches):
            described = {name_of(b["const"]): _spoken(b) for b in branches if b is not None}
            values = [branch["const"] for branch in branches if branch is not None]
            return self._chooser.pick(values, place, described)
        base = {key: part for key, part in flat.items() if key not in {"anyOf", "oneOf"}}
        best: Filled | None = None
        spare: Filled | None = None
        for branch in self._ordered(branches, place.material):
            used = list(place.material.used)
            filled = self._value({"allOf": [base, branch]} if base else branch, place.deeper())
            place.material.used = used
            if types_of(branch) == ("null",):
                filled = (None, _NULL_EVIDENCE)
            if not valid(self._reader, filled[0], {**base, **_only(flat)}):
                spare = spare or filled
            elif best is None or filled[1] > best[1]:
                best = filled
            if best is not None and best[1] >= 0.8:
                break
        if best is not None and best[0] is None:
            return None, 0.0
        return best or spare or (None, 0.0)

    def _ordered(self, branches: Sequence[Schema | None], material: Material) -> list[Schema]:
        """Order branches by how well names and descriptions of objects fit the text."""
        kept = [branch for branch in branches if branch is not None]
        objects = sum(types_of(branch) == ("object",) for branch in kept)
        if objects < 2 or self._nodes > 500:
            return kept
        labels = [Label(str(number), _spelled(branch)) for number, branch in enumerate(kept)]
        ranked = choose(material.text, labels).ranked
        return [kept[int(name)] for name, _ in ranked] if ranked[0][1] > 0 else kept

    def _conditional(self, flat: Schema, filled: Filled, place: Place) -> Filled:
        rest = {k: part for k, part in flat.items() if k not in {"if", "then", "else", "not"}}
        if "if" in flat:
            branch = "then" if valid(self._reader, filled[0], flat["if"]) else "else"
            if isinstance(flat.get(branch), Mapping):
                filled = self._value({"allOf": [rest, flat[branch]]}, place.deeper())
        if "not" in flat and valid(self._reader, filled[0], flat["not"]):
            filled = next(((v, 0.0) for v in OTHERS if valid(self._reader, v, flat)), filled)
        return filled


def _only(flat: Schema) -> dict[str, Any]:
    return {key: flat[key] for key in ("anyOf", "oneOf") if key in flat}


def _scaled(share: float, flat: Schema, told: str, *, whole: bool) -> int | float:
    """Bring a share from 0 to 1 on the schema's scale, or the one that is told in words."""
    low, _, high, _ = bounds_of(flat)
    if not (abs(low) < 1e9 and abs(high) < 1e9):
        written = _SCALE.search(told)
        low, high = (1.0, 5.0) if whole else (0.0, 1.0)
        if written is not None and float(written[1]) < float(written[2]):
            low, high = float(written[1]), float(written[2])
    value = low + share * (high - low)
    return conform_number(round(value) if whole else round(value, 2), flat, whole=whole)


def _spoken(branch: Schema) -> str:
    return f"{branch.get('title', '')} {branch.get('description', '')}".strip()


def _spelled(branch: Schema) -> str:
    """Return what an object branch says about itself, its discriminator twice."""
    parts = [_spoken(branch)]
    for name, part in (branch.get("properties") or {}).items():
        parts.append(name.replace("_", " "))
        if isinstance(part, Mapping):
            values = part.get("enum")
            known = part.get("const", values[0] if isinstance(values, list) and values else "")
            parts.append(f"{known} {known}".replace("_", " ") if isinstance(known, str) else "")
    return " ".join(parts)


def _asks_for_reasons(reader: SchemaReader) -> bool:
    """Whether an object's first property wants reasons, before what they lead to."""
    names = list((reader.flat(reader.root) or {}).get("properties") or {})
    return len(names) > 1 and bool(Target(names[0]).known & REASON_WORDS)
