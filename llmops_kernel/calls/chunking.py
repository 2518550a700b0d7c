"""The chunks in which a whole reply would have come as OpenAI's stream."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.calls.reply import Chunk, Reply

_PIECE = re.compile(r"\s*\S{1,24}|\s+")


def chunks_of(reply: Reply) -> Iterator[Chunk]:
    """Yield a reply's chunks: role, word-sized pieces, finish reason, then usage if it is known."""
    head: Chunk = {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        **reply.extra,
    }
    for choice in reply.choices:
        index = choice.get("index", 0)
        for delta in _deltas(choice.get("message") or {}):
            yield {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        rest = {k: v for k, v in choice.items() if k not in ("index", "message")}
        yield {**head, "choices": [{"index": index, "delta": {}, **rest}]}
    if reply.usage is not None:
        yield {**head, "choices": [], "usage": reply.usage.body()}


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    opening = {"role": message.get("role") or "assistant"}
    content = message.get("content")
    yield {**opening, "content": "" if isinstance(content, str) else content}
    for name, value in message.items():
        if name in ("role", "tool_calls") or (name == "content" and not isinstance(value, str)):
            continue
        if isinstance(value, str):
            for piece in _PIECE.findall(value):
                yield {name: piece}
        elif value is not None:
            yield {name: value}
    for number, call in enumerate(message.get("tool_calls") or ()):
        yield from _calling(number, call)


def _calling(number: int, call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    function = call.get("function")
    if not isinstance(function, dict):  # another kind of tool: in one piece
        yield {"tool_calls": [{"index": number, **call}]}
        return
    opening = {**call, "function": {**function, "arguments": ""}}
    yield {"tool_calls": [{"index": number, **opening}]}
    for piece in _PIECE.findall(function.get("arguments") or ""):
        yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
