"""What the cache's tests ask, and what that costs."""

from __future__ import annotations

from typing import Any

USD = {"input": 1, "output": 2}  # per million tokens; the stub counts 7 in, 3 out
NANO_PER_CALL = 7 * 1_000 + 3 * 2_000


def body(text: str = "What does it cost?", **fields: Any) -> dict[str, Any]:
    """Return the body of a request that may be cached."""
    messages = [{"role": "user", "content": text}]
    return {"model": "stub/stub-1", "messages": messages, "temperature": 0, **fields}
