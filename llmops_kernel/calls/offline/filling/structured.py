"""Writes JSON replies: by a schema, or by the keys that the prompt names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.offline.filling.fill import Filler
from llmops_kernel.calls.offline.filling.material import Material

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.draw import Draw
    from llmops_kernel.calls.offline.reading.prompt import Prompt
    from llmops_kernel.calls.offline.reading.tasks import Task

_KEYS = re.compile(
    (
        r"\b(?:keys?|fields?|properties|property|attributes?)\b(?: named| called| are"
        r"| is)?\s*:?\s*(?P<list>[^.\n]{2,300})"
    ),
    re.IGNORECASE,
)
_NAMED = re.compile(r"[\"'`“]([A-Za-z_][\w-]{0,40})[\"'`”]")
_BARE = re.compile(r"^[A-Za-z_][\w-]{0,40}$")
_TYPES = {
    name: {"type": kind}
    for kind, names in (
        ("string", ("string", "str", "text")),
        ("number", ("number", "float")),
        ("integer", ("integer", "int")),
        ("boolean", ("boolean", "bool")),
        ("array", ("array", "list")),
    )
    for name in names
}
_LONGEST = 20_000


def wanted_schema(
    response_format: Mapping[str, Any] | None, prompt: Prompt
) -> Mapping[str, Any] | None:
    """Return the schema of the reply, or None when text is wanted.

    ``json_schema`` brings its own; for ``json_object`` it is read from the prompt: a JSON schema or
    an example object in it, else the keys it names. A prompt that holds a whole JSON schema and
    asks for JSON gets JSON even without a response format.
    """
    kind = response_format.get("type") if response_format else None
    if kind == "json_schema" and response_format is not None:
        inner = response_format.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None
        return schema if isinstance(schema, Mapping) else {"type": "object"}
    told = f"{prompt.instruction}\n{prompt.turn}"[:_LONGEST]
    if kind == "json_object":
        return _from_prompt(told) or {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
        }
    if "json" in told.lower() and '"properties"' in told:
        written = _json_in(told)
        return written if written is not None and "properties" in written else None
    return None


def write_json(schema: Mapping[str, Any], prompt: Prompt, task: Task, draw: Draw) -> str:
    """Fill a schema from the prompt and return it as JSON text."""
    filler = Filler(schema, Material.of(prompt), by_sentence=task.think, draw=draw)
    return json.dumps(filler.fill(), ensure_ascii=False)


def _from_prompt(told: str) -> Mapping[str, Any] | None:
    written = _json_in(told)
    if written is not None:
        return written if isinstance(written.get("properties"), Mapping) else _schema_like(written)
    for match in _KEYS.finditer(told):
        names = _NAMED.findall(match["list"])
        if not names:
            parts = re.split(r",\s*(?:and\s+)?|\s+and\s+", match["list"])
            names = [part.strip() for part in parts if _BARE.match(part.strip())]
            names = names if len(names) == len(parts) else []
        if names:
            return _object({name: _guessed(name) for name in dict.fromkeys(names)})
    return None


def _json_in(told: str) -> dict[str, Any] | None:
    """Return the first JSON object in a text that looks like a form to fill."""
    decoder = json.JSONDecoder()
    place = told.find("{")
    tries = 0
    while place >= 0 and tries < 40:
        tries += 1
        try:
            value, _ = decoder.raw_decode(told, place)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict) and value:
            return value
        place = told.find("{", place + 1)
    return None


def _schema_like(example: Any, depth: int = 0) -> dict[str, Any]:
    """Turn an example object into a schema of the same shape."""
    if isinstance(example, dict) and depth < 8:
        return _object({name: _schema_like(value, depth + 1) for name, value in example.items()})
    if isinstance(example, list):
        return {
            "type": "array",
            "items": _schema_like(example[0], depth + 1) if example else {"type": "string"},
        }
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, int | float):
        return {"type": "integer" if isinstance(example, int) else "number"}
    if isinstance(example, str):
        options = [part.strip() for part in re.split(r"\s*\|\s*", example)]
        if len(options) > 1 and all(0 < len(option) <= 40 for option in options):
            return {"enum": options}
        named = _TYPES.get(example.strip("<> ").lower())
        return dict(named) if named else {"type": "string", "description": example[:200]}
    return {"type": ["string", "null"]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _guessed(name: str) -> dict[str, Any]:
    """Guess the type of a key that is only named."""
    lowered = name.lower()
    if lowered.startswith(("is_", "has_", "needs_", "should_", "can_")):
        return {"type": "boolean"}
    if any(
        word in lowered for word in ("amount", "price", "score", "confidence", "total", "balance")
    ):
        return {"type": "number"}
    if any(word in lowered for word in ("count", "quantity", "number_of", "age")):
        return {"type": "integer"}
    return {"type": "string"}
