"""Checks values against schemas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llmops_kernel.calls.offline.filling.pattern import compile_pattern
from llmops_kernel.calls.offline.filling.schema import (
    Schema,
    SchemaReader,
    array_items,
    bounds_of,
    dump_key,
    is_finite_float,
    is_multiple,
    listed,
    types_of,
)

_MOST_DEPTH = 40
_MOST_STEPS = 60_000


def valid(reader: SchemaReader, value: Any, schema: Any) -> bool:
    """Whether a value is valid; True when the schema is too deep or large to tell.

    Args:
        reader: Resolves the references of the document the schema is part of.
        value: A JSON value.
        schema: The schema.
    """
    return _Check(reader).valid(value, schema, 0)


class _Check:
    """One check; it counts its steps."""

    def __init__(self, reader: SchemaReader) -> None:
        self._reader = reader
        self._steps = 0

    def valid(self, value: Any, schema: Any, depth: int) -> bool:
        self._steps += 1
        if depth > _MOST_DEPTH or self._steps > _MOST_STEPS:
            return True
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            return True
        flat = self._reader.flat(schema, depth)
        if flat is None:
            return False
        return (
            _basics(value, flat)
            and self._combined(value, flat, depth)
            and (not isinstance(value, Mapping) or self._object(value, flat, depth))
            and (not isinstance(value, list) or self._array(value, flat, depth))
        )

    def _combined(self, value: Any, schema: Schema, depth: int) -> bool:
        def passes(part: Any) -> bool:
            return self.valid(value, part, depth + 1)

        for part in schema.get("allOf") or ():
            if not passes(part):
                return False
        options = schema.get("anyOf")
        if isinstance(options, list) and not any(passes(part) for part in options):
            return False
        options = schema.get("oneOf")
        if isinstance(options, list) and sum(passes(part) for part in options) != 1:
            return False
        if "not" in schema and passes(schema["not"]):
            return False
        if "if" in schema:
            branch = "then" if passes(schema["if"]) else "else"
            return branch not in schema or passes(schema[branch])
        return True

    def _object(self, value: Mapping[str, Any], schema: Schema, depth: int) -> bool:
        if not set(listed(schema, "required")) <= set(value):
            return False
        if (
            not schema.get("minProperties", 0)
            <= len(value)
            <= schema.get("maxProperties", math.inf)
        ):
            return False
        for key, needed in (schema.get("dependentRequired") or {}).items():
            if key in value and not set(needed) <= set(value):
                return False
        properties = schema.get("properties") or {}
        patterns = [
            (compile_pattern(p), s) for p, s in (schema.get("patternProperties") or {}).items()
        ]
        for key, item in value.items():
            if "propertyNames" in schema and not self.valid(
                key, schema["propertyNames"], depth + 1
            ):
                return False
            parts = [properties[key]] if key in properties else []
            parts += [s for pattern, s in patterns if pattern is None or pattern.matches(key)]
            if not parts and "additionalProperties" in schema:
                parts = [schema["additionalProperties"]]
            if not all(self.valid(item, part, depth + 1) for part in parts):
                return False
        return True

    def _array(self, value: list[Any], schema: Schema, depth: int) -> bool:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            return False
        if schema.get("uniqueItems") is True and len({dump_key(v) for v in value}) < len(value):
            return False
        prefix, items = array_items(schema)
        for number, item in enumerate(value):
            part = prefix[number] if number < len(prefix) else items
            if not self.valid(item, part, depth + 1):
                return False
        if "contains" in schema:
            count = sum(self.valid(item, schema["contains"], depth + 1) for item in value)
            least = schema.get("minContains", 1)
            return bool(least <= count <= schema.get("maxContains", math.inf))
        return True


def _basics(value: Any, schema: Schema) -> bool:
    named = schema.get("type")
    if named is not None and not any(_has_type(value, name) for name in types_of(schema)):
        return False
    if "const" in schema and dump_key(schema["const"]) != dump_key(value):
        return False
    if isinstance(schema.get("enum"), list) and dump_key(value) not in {
        dump_key(v) for v in schema["enum"]
    }:
        return False
    if isinstance(value, str):
        return _string(value, schema)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, schema)
    return True


def _has_type(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer":
        return isinstance(value, int) or (is_finite_float(value) and value == int(value))
    kinds: dict[str, Any] = {
        "object": Mapping, "array": list, "string": str, "number": int | float, "null": type(None),
    }  # fmt: skip
    return name in kinds and isinstance(value, kinds[name])


def _string(value: str, schema: Schema) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
        return False
    written = schema.get("pattern")
    pattern = compile_pattern(written) if isinstance(written, str) else None
    return pattern is None or pattern.matches(value)


def _number(value: float, schema: Schema) -> bool:
    low, low_open, high, high_open = bounds_of(schema)
    if value < low or value > high or (low_open and value == low) or (high_open and value == high):
        return False
    step = schema.get("multipleOf")
    return not isinstance(step, int | float) or is_multiple(value, step)
