"""Checks of request bodies; every refusal names the field, as OpenAI's API does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def check_model(body: dict[str, Any]) -> None:
    """Refuse a body without a model name."""
    if not isinstance(body.get("model"), str) or not body["model"].strip():
        raise BadRequest("model must be a non-empty string", param="model")


def check_message(index: int, message: Any) -> None:
    """Refuse a message no provider could read."""
    place = f"messages[{index}]"
    if not isinstance(message, dict):
        raise BadRequest("Each message must be an object", param=place)
    role = message.get("role")
    if role not in _ROLES:
        raise BadRequest(f"role must be one of {', '.join(_ROLES)}", param=f"{place}.role")
    content = message.get("content")
    if content is None and role == "assistant":
        return
    if not isinstance(content, str | list):
        raise BadRequest("content must be a string or a list of parts", param=f"{place}.content")
    if isinstance(content, list) and not all(isinstance(part, dict) for part in content):
        raise BadRequest("Each content part must be an object", param=f"{place}.content")


def flag(body: dict[str, Any], name: str) -> bool:
    """Read an optional boolean."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return value


def integer(body: dict[str, Any], name: str) -> int | None:
    """Read an optional whole number."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise BadRequest(f"{name} must be a whole number", param=name)
    return value


def whole(body: dict[str, Any], name: str) -> int | None:
    """Read an optional whole number of at least 1."""
    value = integer(body, name)
    if value is not None and value < 1:
        raise BadRequest(f"{name} must be at least 1", param=name)
    return value


def number(body: dict[str, Any], name: str) -> float | None:
    """Read an optional number."""
    value = body.get(name)
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise BadRequest(f"{name} must be a number", param=name)
    return value


def json_object(body: dict[str, Any], name: str) -> Mapping[str, Any] | None:
    """Read an optional JSON object."""
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object", param=name)
    return value


def list_of_objects(body: dict[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Read an optional list of JSON objects."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequest(f"{name} must be a list of objects", param=name)
    return value
