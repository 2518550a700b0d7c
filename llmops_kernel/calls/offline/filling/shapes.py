"""Fills objects and arrays: which properties, how many items, in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.filling.conform import conform_number, conform_string
from llmops_kernel.calls.offline.filling.items import Item, items_for
from llmops_kernel.calls.offline.filling.pattern import compile_pattern
from llmops_kernel.calls.offline.filling.place import Filled, Place, Target
from llmops_kernel.calls.offline.filling.placeholders import another
from llmops_kernel.calls.offline.filling.schema import array_items, dump_key, listed, types_of
from llmops_kernel.calls.offline.filling.validity import valid
from llmops_kernel.calls.offline.language.lexicon import word_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.offline.filling.chooser import Chooser
    from llmops_kernel.calls.offline.filling.schema import Schema, SchemaReader

REASON_WORDS = word_set(
    "reason reasoning rationale explanation thought thoughts thinking justification analysis steps"
    " why cot"
)
CONFIDENCE_WORDS = word_set("confidence probability certainty likelihood")

_OPTIONAL_DEPTH = 6  # deeper than this, optional properties and items are left out
_ENOUGH = 0.45  # evidence that an optional property needs to be written
_USUAL_ITEMS = 12
_MOST_ITEMS = 1_000

FillValue = Callable[[Any, Place], Filled]


class ShapeFiller:
    """Fills objects and arrays; single values are filled by the function it is given.

    Args:
        reader: Reads the schema.
        chooser: Chooses several of an array's allowed values.
        fill: Fills one value.
        is_full: Says when no more values should be made.
    """

    def __init__(
        self,
        reader: SchemaReader,
        chooser: Chooser,
        fill: FillValue,
        is_full: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._chooser = chooser
        self._fill = fill
        self._is_full = is_full
        self.evidence: dict[str, float] = {}  # of the root object's properties

    def object(self, schema: Schema, place: Place) -> Filled:
        """Fill an object: required properties, and optional ones the text speaks of."""
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = listed(schema, "required")
        names = list(dict.fromkeys([*properties, *required]))
        most = int(schema.get("maxProperties", len(names) + 1))
        filled: dict[str, Filled] = {}
        for name in _reasons_last(names):
            part = properties[name] if name in properties else self._extra(schema, name)
            shape = self._reader.flat(part)
            needed = name in required
            if not needed and (place.depth > _OPTIONAL_DEPTH or shape is None or self._is_full()):
                continue
            value = self._fill(part, place.property(name, shape or {}))
            open_names = sum(n in required and n not in filled for n in names)
            if needed or (value[1] >= _ENOUGH and len(filled) + open_names < most):
                filled[name] = value
        if not place.path:
            self.evidence = {name: value[1] for name, value in filled.items()}
        ordered = {name: filled[name][0] for name in names if name in filled}
        evidence = _mean([filled[name][1] for name in ordered]) if ordered else 0.1
        if not properties and self._take_pairs(schema, ordered, place):
            evidence = max(evidence, 0.6)
        self._complete(schema, ordered, place)
        return ordered, evidence

    def _extra(self, schema: Schema, name: str) -> Any:
        """Return the schema of a property that is not listed."""
        for written, part in (schema.get("patternProperties") or {}).items():
            pattern = compile_pattern(written)
            if pattern is not None and pattern.matches(name):
                return part
        return schema.get("additionalProperties", True)

    def _take_pairs(self, schema: Schema, ordered: dict[str, Any], place: Place) -> bool:
        """Give an object without named properties the text's own ``key: value`` pairs."""
        extra = self._reader.flat(schema.get("additionalProperties", True))
        if extra is None or place.depth > _OPTIONAL_DEPTH:
            return False
        most = min(int(schema.get("maxProperties", _USUAL_ITEMS)), _USUAL_ITEMS)
        for _, key, value in place.material.pairs:
            if len(ordered) >= most:
                break
            name = re.sub(r"\W+", "_", key.lower()).strip("_")
            allowed = valid(self._reader, name, schema.get("propertyNames", True))
            if not name or name in ordered or not allowed:
                continue
            part = self._extra(schema, name)
            made: Filled = (value, 1.0)
            if not valid(self._reader, value, part):
                made = self._fill(part, place.property(name, {}))
            if made[1] >= _ENOUGH and valid(self._reader, made[0], part):
                ordered[name] = made[0]
        return bool(ordered)

    def _complete(self, schema: Schema, ordered: dict[str, Any], place: Place) -> None:
        """Add what other properties, or a least number of them, make necessary."""
        properties = schema.get("properties") or {}

        def add(name: str) -> None:
            part = properties[name] if name in properties else self._extra(schema, name)
            ordered[name] = self._fill(part, place.property(name, self._reader.flat(part) or {}))[0]

        for key, needed in list((schema.get("dependentRequired") or {}).items()) * 2:
            for name in needed if key in ordered else ():
                if isinstance(name, str) and name not in ordered:
                    add(name)
        least = min(int(schema.get("minProperties", 0)), 200)
        spare = [name for name in properties if name not in ordered]
        for number in range(1, 400):
            if len(ordered) >= least:
                return
            name = spare.pop(0) if spare else self._new_name(schema, number)
            if name is not None and name not in ordered:
                add(name)

    def _new_name(self, schema: Schema, number: int) -> str | None:
        patterns = schema.get("patternProperties") or {}
        if schema.get("additionalProperties") is False and not patterns:
            return None
        names = self._reader.flat(schema.get("propertyNames", {})) or {}
        if names.get("enum"):
            return str(names["enum"][(number - 1) % len(names["enum"])])
        if schema.get("additionalProperties") is not False and not names:
            return f"field_{number}"
        written = next(iter(patterns), names.get("pattern"))
        wanted = {**names, "minLength": max(number - 1, int(names.get("minLength", 0)))}
        return conform_string(None, {**wanted, **({"pattern": written} if written else {})})

    def array(self, schema: Schema, place: Place) -> Filled:
        """Fill an array with what the text gives, within its bounds."""
        prefix, items = array_items(schema)
        least = min(int(schema.get("minItems", 0)), _MOST_ITEMS)
        most = min(int(schema.get("maxItems", _USUAL_ITEMS)), max(_USUAL_ITEMS, least))
        shape = self._reader.flat(items)
        name = place.target.name
        filled = [self._fill(part, place.item(name)) for part in prefix[:most]]
        if shape is not None and place.depth <= _OPTIONAL_DEPTH + 2:
            for item in self._items(shape, place):
                if len(filled) >= most or self._is_full():
                    break
                value = self._item(item, items, shape, place)
                if value is not None:
                    filled.append(value)
        if schema.get("uniqueItems") is True:
            filled = list({dump_key(value[0]): value for value in filled}.values())
        if "contains" in schema:
            inner = schema["contains"]
            if not any(valid(self._reader, value, inner) for value, _ in filled):
                filled = [*filled[: max(0, most - 1)], self._fill(inner, place.deeper())]
        values = [value for value, _ in filled]
        if shape is not None:
            self._pad(values, items, shape, least, place, unique=bool(schema.get("uniqueItems")))
        return values, _mean([evidence for _, evidence in filled])

    def _items(self, shape: Schema, place: Place) -> Sequence[Item]:
        if shape.get("enum"):
            return [Item(value=value) for value in self._chooser.several(shape["enum"], place)]
        return items_for(shape, types_of(shape), place.target, place.material)

    def _item(self, item: Item, items: Any, shape: Schema, place: Place) -> Filled | None:
        if item.text is not None:
            material = place.material.part(item.text)
            value = self._fill(items, place.item(place.target.name.rstrip("s"), material))
            return value if value[1] >= 0.3 else None
        made = item.value
        if isinstance(made, str):
            made = conform_string(made, shape, place.material.text)
        elif isinstance(made, int | float) and not isinstance(made, bool):
            made = conform_number(made, shape, whole="integer" in types_of(shape))
        return (made, 0.7) if valid(self._reader, made, shape) else None

    def _pad(
        self,
        values: list[Any],
        items: Any,
        shape: Schema,
        least: int,
        place: Place,
        *,
        unique: bool,
    ) -> None:
        """Add items until there are enough, different ones where they have to be."""
        seen = {dump_key(value) for value in values}
        for number in range(3 * least + 3):
            if len(values) >= least:
                return
            value = self._fill(items, place.item(""))[0]
            if unique and dump_key(value) in seen:
                value = another(self._reader, shape, value, number)
                if dump_key(value) in seen or not valid(self._reader, value, shape):
                    continue
            seen.add(dump_key(value))
            values.append(value)


def _reasons_last(names: Sequence[str]) -> list[str]:
    """Order properties so that reasons and confidence come after what they speak of."""
    late = {name for name in names if Target(name).known & (REASON_WORDS | CONFIDENCE_WORDS)}
    return [*(name for name in names if name not in late), *(n for n in names if n in late)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
