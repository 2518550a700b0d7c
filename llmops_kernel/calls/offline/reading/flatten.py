"""Turns JSON into lines that read like text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llmops_kernel.calls.messages import dump


def flatten(text: str) -> str:
    """Turn JSON text into lines of ``key: value``; other text stays as it is."""
    stripped = text.strip()
    if stripped[:1] not in "{[":
        return text
    try:
        data = json.loads(stripped)
    except (ValueError, RecursionError):
        return text
    lines: list[str] = []
    _flatten_into(data, "", lines)
    return "\n".join(lines) or text


def _flatten_into(data: Any, name: str, lines: list[str], depth: int = 0) -> None:
    if len(lines) > 500:
        return
    if isinstance(data, Mapping) and 1 < len(data) <= 8 and _is_flat(data):
        row = ", ".join(f"{str(k).replace('_', ' ')}: {_plain(v)}" for k, v in data.items())
        lines.append(row)
    elif isinstance(data, Mapping) and depth < 6:
        for key, value in data.items():
            _flatten_into(value, str(key).replace("_", " "), lines, depth + 1)
    elif isinstance(data, list) and depth < 6:
        for item in data:
            _flatten_into(item, name, lines, depth + 1)
    else:
        lines.append(f"{name}: {_plain(data)}" if name else _plain(data))


def _is_flat(data: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, list | dict) for value in data.values())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else dump(value)
