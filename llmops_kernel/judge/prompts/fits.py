"""Whether data fits a judge's schema: the few keywords those schemas use, and quickly.

A run checks thousands of answers, most of which fit. What does not fit here is checked again by
the full validator, which says what is wrong.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "minimum",
    "maximum", "minItems", "maxItems", "title", "description",
}  # fmt: skip


def read(text: str, schema: Mapping[str, Any]) -> Any:
    """Return the JSON of a text that is nothing else and fits; None otherwise."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if fits(value, schema) else None


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value fits; False also where the schema says more than is known here."""
    if not schema.keys() <= _KNOWN:
        return False
    kind = schema["type"]
    if kind == "object":
        return _object_fits(value, schema)
    if kind == "array":
        if not isinstance(value, list):
            return False
        fitting = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fitting and all(fits(item, schema["items"]) for item in value)
    if kind == "string":
        # Half a surrogate pair is put right by the full reader.
        return isinstance(value, str) and value in schema.get("enum", (value,)) and _whole(value)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind != "integer" or not isinstance(value, int) or isinstance(value, bool):
        return False
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


def _object_fits(value: Any, schema: Mapping[str, Any]) -> bool:
    properties = schema["properties"]
    if not isinstance(value, dict) or schema.get("additionalProperties") is not False:
        return False
    if not (set(schema["required"]) <= value.keys() <= properties.keys()):
        return False
    return all(fits(inner, properties[name]) for name, inner in value.items())


def _whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
