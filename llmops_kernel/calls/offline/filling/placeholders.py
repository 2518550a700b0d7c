"""Values for a schema that the text gives nothing for: the plainest one, and others like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.filling.conform import conform_number, conform_string
from llmops_kernel.calls.offline.filling.schema import (
    array_items,
    dump_key,
    listed,
    options_of,
    types_of,
)
from llmops_kernel.calls.offline.filling.validity import valid

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.filling.schema import Schema, SchemaReader

OTHERS: tuple[Any, ...] = ("", "other", 0, 1, False, True, None, [], {}, -1, 0.5)
_MOST_DEPTH = 24


def plainest(reader: SchemaReader, schema: Schema, depth: int = 0) -> Any:
    """Return the smallest value that fits, without looking at any text."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    options = options_of(schema)
    types = types_of(schema)
    if options and depth < _MOST_DEPTH:
        flats = [reader.flat(option) or {} for option in options]
        return plainest(reader, min(flats, key=_size), depth + 1)
    if "null" in types or depth > _MOST_DEPTH:
        return None
    if "object" in types:
        properties = schema.get("properties") or {}
        names = listed(schema, "required")[:200]
        parts = {name: reader.flat(properties.get(name, {})) or {} for name in names}
        return {name: plainest(reader, part, depth + 2) for name, part in parts.items()}
    if "array" in types:
        part = reader.flat(array_items(schema)[1]) or {}
        count = min(int(schema.get("minItems", 0)), 20)
        return [plainest(reader, part, depth + 2) for _ in range(count)]
    if "boolean" in types:
        return False
    if {"number", "integer"} & set(types):
        return conform_number(None, schema, whole="integer" in types)
    return conform_string(None, schema)


def _size(schema: Schema) -> int:
    return sum(kind in types_of(schema) for kind in ("object", "array"))


def another(reader: SchemaReader, schema: Schema, value: Any, number: int) -> Any:
    """Return another value of the same shape; larger numbers give further ones."""
    if schema.get("enum"):
        return schema["enum"][number % len(schema["enum"])]
    if options_of(schema):
        options = options_of(schema)
        option = reader.flat(options[number % len(options)]) or {}
        fresh = plainest(reader, option)
        return (
            fresh if dump_key(fresh) != dump_key(value) else another(reader, option, fresh, number)
        )
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        step = schema.get("multipleOf", 1)
        shift = (number // 2 + 1) * step * (-1 if number % 2 else 1)
        return conform_number(value + shift, schema, whole="integer" in types_of(schema))
    if isinstance(value, str):
        return _other_string(schema, value, number)
    if isinstance(value, list):
        return _other_list(reader, schema, value, number)
    if isinstance(value, Mapping):
        return _other_object(reader, schema, value, number)
    return OTHERS[number % len(OTHERS)]


def _other_string(schema: Schema, value: str, number: int) -> str:
    if "pattern" in schema:
        return conform_string(None, {**schema, "minLength": len(value) + number + 1})
    suffix = str(number + 2)
    most = int(schema.get("maxLength", len(value) + len(suffix)))
    return (value[: max(0, most - len(suffix))] + suffix)[:most]


def _other_list(reader: SchemaReader, schema: Schema, value: list[Any], number: int) -> list[Any]:
    part = reader.flat(array_items(schema)[1]) or {}
    if value:
        return [*value[:-1], another(reader, part, value[-1], number)]
    return [plainest(reader, part)] * (number + 1)


def _other_object(
    reader: SchemaReader, schema: Schema, value: Mapping[str, Any], number: int
) -> Any:
    properties = schema.get("properties") or {}
    for key, inner in value.items():
        part = reader.flat(properties.get(key, {})) or {}
        changed = another(reader, part, inner, number)
        if dump_key(changed) != dump_key(inner) and valid(reader, changed, part):
            return {**value, key: changed}
    return {**value, f"field_{number + 1}": ""}
