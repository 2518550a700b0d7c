"""JSON schemas as providers' strict modes take them.

In strict mode a provider can only write what the schema allows, at the price of rules: every object
closed, every property required, a subset of keywords (OpenAI's structured outputs guide). Optional
properties become nullable ones; constraints outside of the subset are told in the description and
checked here, when the reply has come.
"""

from __future__ import annotations

import re
from typing import Any

# Definitions keep their place in the strict form; other parts of a schema may move.
_PLACE = re.compile(r"#|#/(?:\$defs|definitions)/[^/]+")

# With these, a strict schema would mean something else.
_IMPOSSIBLE = {
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
    "patternProperties", "propertyNames", "prefixItems", "unevaluatedProperties",
    "unevaluatedItems", "contains", "additionalItems", "$dynamicRef", "$recursiveRef",
}  # fmt: skip
# These are checked here instead; the model reads them in the description.
_TOLD = {"minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties"}
_KEPT = {
    "type", "description", "title", "enum", "const", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "minItems", "maxItems",
}  # fmt: skip
_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
}  # fmt: skip
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class _NotStrictError(Exception):
    """The schema has no strict form."""


def strict_schema(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the strict form of a schema; None when it has none.

    Whatever is valid by the strict form is valid by the schema, up to the constraints told in
    descriptions, once nulls of optional properties are left out.
    """
    try:
        return _convert(schema)
    except (_NotStrictError, RecursionError):
        return None


def _convert(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict) or _IMPOSSIBLE & node.keys():
        raise _NotStrictError
    result = {key: value for key, value in node.items() if key in _KEPT}
    for name in ("$defs", "definitions"):
        if name in node:
            result[name] = {key: _convert(value) for key, value in node[name].items()}
    told = [f"{key}: {node[key]}" for key in sorted(_TOLD & node.keys())]
    _add_text_rules(node, result, told)
    if "$ref" in node:
        return _reference(node, result)
    _add_alternatives(node, result)
    _add_type(result)
    _add_object(node, result)
    _add_array(node, result)
    if not result.keys() & {"type", "anyOf"}:
        raise _NotStrictError  # anything goes, which strict modes do not know
    if told:
        result["description"] = f"{result.get('description', '')} ({', '.join(told)})".strip()
    return result


def _reference(node: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    beside = node.keys() - {"$ref", "description", "title", "default", "$defs", "definitions"}
    if beside or not _PLACE.fullmatch(node["$ref"]):
        raise _NotStrictError
    definitions: dict[str, Any] = {
        key: result[key] for key in ("$defs", "definitions") if key in result
    }
    if "description" in node:  # nothing may stand beside a reference
        alternatives = [{"$ref": node["$ref"]}]
        return {"description": node["description"], "anyOf": alternatives, **definitions}
    return {"$ref": node["$ref"], **definitions}


def _add_text_rules(node: dict[str, Any], result: dict[str, Any], told: list[str]) -> None:
    pattern = node.get("pattern")
    if pattern is not None:
        if "(?" in pattern:  # look-around is unknown to grammars
            told.append(f"pattern: {pattern}")
        else:
            result["pattern"] = pattern
    if (form := node.get("format")) is not None:
        if form in _FORMATS:
            result["format"] = form
        else:
            told.append(f"format: {form}")


def _add_alternatives(node: dict[str, Any], result: dict[str, Any]) -> None:
    groups = [node[key] for key in ("anyOf", "oneOf", "allOf") if key in node]
    if not groups:
        return
    if len(groups) > 1 or ("allOf" in node and len(node["allOf"]) > 1) or "properties" in node:
        raise _NotStrictError
    result["anyOf"] = [_convert(alternative) for alternative in groups[0]]


def _add_type(result: dict[str, Any]) -> None:
    if "type" in result or "anyOf" in result:
        return
    values = result.get("enum", [result["const"]] if "const" in result else [])
    kinds = list(dict.fromkeys(_TYPES.get(type(value)) for value in values))
    if kinds and None not in kinds:
        result["type"] = kinds[0] if len(kinds) == 1 else kinds


def _add_object(node: dict[str, Any], result: dict[str, Any]) -> None:
    kinds = result.get("type", "object" if "properties" in node else None)
    if kinds != "object":
        if "object" in (kinds or ()) or "properties" in node:
            raise _NotStrictError
        return
    if node.get("additionalProperties", False) is not False:
        raise _NotStrictError
    if "properties" not in node and "additionalProperties" not in node:
        raise _NotStrictError  # an object of any form
    required = node.get("required", [])
    properties = node.get("properties", {})
    if not set(required) <= properties.keys():
        raise _NotStrictError
    result["type"] = "object"
    result["properties"] = {
        name: _convert(value) if name in required else _nullable(_convert(value))
        for name, value in properties.items()
    }
    result["required"] = list(properties)
    result["additionalProperties"] = False


def _add_array(node: dict[str, Any], result: dict[str, Any]) -> None:
    kinds = result.get("type")
    if kinds == "array":
        result["items"] = _convert(node.get("items"))
    elif isinstance(kinds, list) and "array" in kinds:
        raise _NotStrictError


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in node:
        if {"type": "null"} in node["anyOf"]:
            return node
        return {**node, "anyOf": [*node["anyOf"], {"type": "null"}]}
    kinds = node.get("type")
    if kinds == "null" or (isinstance(kinds, list) and "null" in kinds):
        return node
    return {"anyOf": [node, {"type": "null"}]}
