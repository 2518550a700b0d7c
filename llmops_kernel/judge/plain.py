"""Results as plain data."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def members(value: Any) -> dict[str, Any]:
    """Return a dataclass's members as plain data, by name."""
    return {each.name: plain(getattr(value, each.name)) for each in fields(value)}


def plain(value: Any) -> Any:
    """Return dataclasses, tuples and mappings as plain data; own ``as_dict`` goes first."""
    if callable(own := getattr(value, "as_dict", None)):
        return own()
    if hasattr(value, "__dataclass_fields__"):
        return members(value)
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    return value
