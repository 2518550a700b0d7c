"""Messages as text: what is counted, hashed and recorded of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

Message = Mapping[str, Any]


def fingerprint(value: Any) -> str:
    """Hash JSON-like data, independent of key order (hex, 32 characters)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def dump(value: Any) -> str:
    """Return compact JSON, keeping non-ASCII text readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def message_text(message: Message) -> str:
    """Return all text of a message: content, text parts, tool calls, names."""
    content = message.get("content")
    if isinstance(content, str) and len(message) <= 2:
        return content
    parts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        for part in content:
            text = part.get("text") if isinstance(part, Mapping) else None
            parts.append(text if isinstance(text, str) else dump(part))
    parts.extend(
        value if isinstance(value, str) else dump(value)
        for key, value in message.items()
        if key not in {"role", "content"} and value
    )
    return "\n".join(parts)
