"""Reads JSON schemas: references, combinations, and whether a value is valid.

A validator of its own, because schemas come with requests: it never runs a foreign pattern with
``re``, and it stops at a depth and a number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from llmops_kernel.calls.messages import dump

Schema = Mapping[str, Any]

_MOST_DEPTH = 40
_MOST_STEPS = 100_000
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_INFERRED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("object", ("properties", "required", "additionalProperties", "minProperties",
                "maxProperties", "patternProperties", "propertyNames", "dependentRequired")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains")),
    ("string", ("minLength", "maxLength", "pattern", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)  # fmt: skip


class SchemaReader:
    """Resolves the parts of one schema document."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self._steps = 0

    def flat(self, schema: Any, depth: int = 0) -> Schema | None:
        """Return a schema with references followed and ``allOf`` merged; None for ``false``.

        Beyond a number of steps everything is allowed: a short schema can stand for millions of
        parts that refer to one another.
        """
        self._steps += 1
        if schema is False:
            return None
        if not isinstance(schema, Mapping) or self._steps > _MOST_STEPS:
            return {}
        own = _well_formed(schema)
        if isinstance(own.get("$ref", own.get("$dynamicRef")), str) and depth < _MOST_DEPTH:
            return self._referred(own, depth)
        if "allOf" in own and depth < _MOST_DEPTH:
            return self._merged(own, depth)
        return own

    def _referred(self, schema: Schema, depth: int) -> Schema | None:
        target = self.flat(self._find(schema.get("$ref", schema.get("$dynamicRef"))), depth + 1)
        beside = {k: v for k, v in schema.items() if k not in {"$ref", "$dynamicRef"}}
        if target is None or not beside:
            return target
        return _merge(target, self.flat(beside, depth + 1) or {})

    def _merged(self, schema: Schema, depth: int) -> Schema | None:
        merged: Schema = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"][:50]:
            flat = self.flat(part, depth + 1)
            if flat is None:
                return None
            merged = _merge(merged, flat)
        return merged

    def _find(self, reference: Any) -> Any:
        if reference == "#":
            return self.root
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return {}
        node: Any = self.root
        for part in reference[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                return {}
        return node


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number (true and false are none)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
         "minContains", "maxContains"),
        lambda value: is_number(value) and value >= 0,
    ),
    **dict.fromkeys(("minimum", "maximum"), is_number),
    **dict.fromkeys(
        ("exclusiveMinimum", "exclusiveMaximum"), lambda v: isinstance(v, bool) or is_number(v)
    ),
    "multipleOf": lambda value: is_number(value) and value > 0,
    **dict.fromkeys(
        ("pattern", "format", "$ref", "$dynamicRef", "title", "description"),
        lambda value: isinstance(value, str),
    ),
    **dict.fromkeys(("enum", "allOf", "anyOf", "oneOf", "prefixItems"), _is_list),
    "required": lambda value: isinstance(value, list),
    **dict.fromkeys(
        ("properties", "patternProperties"), lambda value: isinstance(value, Mapping)
    ),
    "dependentRequired": lambda value: (
        isinstance(value, Mapping) and all(isinstance(v, list) for v in value.values())
    ),
    **dict.fromkeys(
        ("additionalProperties", "propertyNames", "contains", "not", "if", "then", "else",
         "additionalItems"),
        _is_schema,
    ),
    "items": lambda value: _is_schema(value) or isinstance(value, list),
    "type": lambda value: isinstance(value, str | list),
}  # fmt: skip


def _well_formed(schema: Schema) -> Schema:
    """Leave out keywords whose value makes no sense."""
    bad = [key for key, value in schema.items() if key in _CHECKS and not _CHECKS[key](value)]
    return {k: v for k, v in schema.items() if k not in bad} if bad else schema


def types_of(schema: Schema) -> tuple[str, ...]:
    """Return the types a flat schema allows, guessed from its keywords when it names none."""
    named = schema.get("type")
    if isinstance(named, str):
        return (named,) if named in _TYPES else ()
    if isinstance(named, list):
        return tuple(name for name in named if name in _TYPES)
    return tuple(kind for kind, keys in _INFERRED if any(key in schema for key in keys))


def options_of(schema: Schema) -> list[Any]:
    """Return the branches of ``anyOf`` or ``oneOf``."""
    for name in ("anyOf", "oneOf"):
        options = schema.get(name)
        if isinstance(options, list) and options:
            return list(options[:24])
    return []


def array_items(schema: Schema) -> tuple[list[Any], Any]:
    """Return the schemas of an array's first items, and of the rest."""
    prefix = schema.get("prefixItems")
    items = schema.get("items", True)
    if isinstance(items, list):  # the older spelling
        return items, schema.get("additionalItems", True)
    return (prefix if isinstance(prefix, list) else []), items


def listed(schema: Schema, name: str) -> list[str]:
    """Return a keyword's list of names."""
    names = schema.get(name)
    return [n for n in names if isinstance(n, str)] if isinstance(names, list) else []


def dump_key(value: Any) -> str:
    """Return a text that is equal for JSON-equal values (1 and 1.0 are equal, 1 and true not)."""
    if is_finite_float(value) and value == int(value):
        value = int(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(sorted(f"{dump(k)}:{dump_key(v)}" for k, v in value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump_key(item) for item in value) + "]"
    return dump(value)


def is_finite_float(value: Any) -> bool:
    """Whether a value is a float that JSON can write."""
    return isinstance(value, float) and math.isfinite(value)


def _merge(first: Schema, second: Schema) -> Schema:
    """Combine two schemas so that what fits the result fits both, as far as keywords allow."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged:
            merged[key] = value
        elif key == "properties":
            both = {
                k: {"allOf": [merged[key][k], v]} if k in merged[key] else v
                for k, v in value.items()
            }
            merged[key] = {**merged[key], **both}
        elif key == "required":
            merged[key] = list(dict.fromkeys([*merged[key], *value]))
        elif key == "enum":
            keys = {dump_key(v) for v in value}
            merged[key] = [v for v in merged[key] if dump_key(v) in keys]
        elif key == "type":
            merged[key] = _common_types(merged[key], value)
        elif key in {"minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum"}:
            merged[key] = max(merged[key], value)
        elif key in {"maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum"}:
            merged[key] = min(merged[key], value)
        elif key in {"anyOf", "oneOf", "not", "if", "pattern"} and merged[key] != value:
            merged.setdefault("allOf", [])
            merged["allOf"] = [*merged["allOf"], {key: value}]
        elif key == "additionalProperties" and value is False:
            merged[key] = False
        elif key in {"title", "description"}:
            merged[key] = value
    return merged


def _common_types(first: Any, second: Any) -> list[str]:
    one = [first] if isinstance(first, str) else list(first)
    two = [second] if isinstance(second, str) else list(second)
    common = [t for t in one if t in two]
    if ("integer" in one and "number" in two) or ("number" in one and "integer" in two):
        common.append("integer")
    return list(dict.fromkeys(common))


def is_multiple(value: float, step: float) -> bool:
    """Whether a number is a whole multiple of a step, without rounding."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        quotient = value / step
        return math.isfinite(quotient) and int(quotient) == quotient
    except (OverflowError, ZeroDivisionError):
        return False


def bounds_of(schema: Schema) -> tuple[float, bool, float, bool]:
    """Return lower bound, whether it is exclusive, upper bound, whether it is exclusive."""
    low: float = schema["minimum"] if is_number(schema.get("minimum")) else -math.inf
    high: float = schema["maximum"] if is_number(schema.get("maximum")) else math.inf
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    low_open, high_open = above is True, below is True  # draft 4
    if is_number(above) and above is not None and above >= low:
        low, low_open = above, True
    if is_number(below) and below is not None and below <= high:
        high, high_open = below, True
    return low, low_open, high, high_open
