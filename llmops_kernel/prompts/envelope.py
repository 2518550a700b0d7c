"""The form in which typed output travels.

Providers want an object at the root of a schema, and reasoning belongs in front of what follows
from it. So a schema of anything else travels as ``{"value": ...}``, and reasoning as the first
property, ``reasoning``; both are taken off again before the output is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmops_kernel.prompts.schemas import references

_REASONING = {
    "type": "string",
    "description": "Step-by-step reasoning that leads to what follows. Written first.",
}
_DEFINITIONS = ("$defs", "definitions")
_COMBINERS = {"$ref", "$dynamicRef", "anyOf", "oneOf", "allOf", "not", "if", "enum", "const"}


@dataclass(frozen=True, slots=True)
class Envelope:
    """A schema as it is sent.

    Attributes:
        schema: The schema to send; its root is an object.
        wrapped: Whether the output is the property ``value``.
        reasons: Whether there is a property ``reasoning`` that the schema itself does not have.
    """

    schema: dict[str, Any]
    wrapped: bool = False
    reasons: bool = False

    def open(self, value: Any) -> tuple[Any, str]:
        """Return the output and the reasoning; output that came without envelope is taken too."""
        if not isinstance(value, dict):
            return value, ""
        reasoning = str(value.get("reasoning") or "") if self.reasons else ""
        if self.wrapped:
            bare = "value" not in value or value.keys() - {"value", "reasoning"}
            return (value, "") if bare else (value["value"], reasoning)
        if not self.reasons:
            return value, ""
        return {key: item for key, item in value.items() if key != "reasoning"}, reasoning


def envelope(schema: dict[str, Any], *, think: bool = False) -> Envelope:
    """Put a schema in its envelope.

    Args:
        schema: The schema of the output.
        think: Whether reasoning is asked for. A schema that has a property ``reasoning`` is left
            as it is.
    """
    refers_inside = any(not _to_definition(target) for target in references(schema))
    if _is_object(schema):
        properties = schema.get("properties", {})
        if not think or "reasoning" in properties:
            return Envelope(schema)
        if not refers_inside:
            changed = {
                **schema,
                "type": "object",
                "properties": {"reasoning": _REASONING, **properties},
                "required": ["reasoning", *schema.get("required", [])],
            }
            return Envelope(changed, reasons=True)
    return Envelope(_wrapped(schema, refers_inside, think), wrapped=True, reasons=think)


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type", "object" if "properties" in schema else None)
    return kind == "object" and not _COMBINERS & schema.keys()


def _wrapped(schema: dict[str, Any], refers_inside: bool, think: bool) -> dict[str, Any]:
    definitions = {name: schema[name] for name in _DEFINITIONS if name in schema}
    inner = {key: value for key, value in schema.items() if key not in (*_DEFINITIONS, "$schema")}
    if refers_inside:
        # The root moves to a definition, and references to it and into it move along.
        name = "value"
        while name in definitions.get("$defs", {}):
            name += "_"
        moved = _moved(inner, f"#/$defs/{name}")
        kept = _moved(definitions, f"#/$defs/{name}")
        definitions = {**kept, "$defs": {**kept.get("$defs", {}), name: moved}}
        inner = {"$ref": f"#/$defs/{name}"}
    properties: dict[str, Any] = {"reasoning": _REASONING} if think else {}
    properties["value"] = inner
    wrapper = {"type": "object", "properties": properties, "required": list(properties)}
    return {**wrapper, "additionalProperties": False, **definitions}


def _moved(node: Any, root: str) -> Any:
    if isinstance(node, dict):
        return {
            key: root + value[1:]
            if key == "$ref" and isinstance(value, str) and not _to_definition(value)
            else _moved(value, root)
            for key, value in node.items()
        }
    return [_moved(item, root) for item in node] if isinstance(node, list) else node


def _to_definition(target: str) -> bool:
    return target.startswith(tuple(f"#/{name}/" for name in _DEFINITIONS))
