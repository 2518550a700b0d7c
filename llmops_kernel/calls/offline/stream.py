"""Writes a finished reply as OpenAI's stream of chunks."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from llmops_kernel.calls.reply import Chunk, Reply

_PIECE = re.compile(r"\s*\S{1,24}|\s+")
_BREATH = 32  # chunks between two turns given to other tasks of the loop


async def chunks_of(reply: Reply) -> AsyncIterator[Chunk]:
    """Yield a reply's chunks: role, word-sized pieces, finish reason, then usage."""
    for number, chunk in enumerate(_chunks(reply)):
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)
        yield chunk


def _chunks(reply: Reply) -> Iterator[Chunk]:
    head: Chunk = {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        **reply.extra,
    }
    for choice in reply.choices:
        index = choice["index"]
        for delta in _deltas(choice["message"]):
            yield {**head, "choices": [{"index": index, "delta": delta, "finish_reason": None}]}
        last = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield {**head, "choices": [last]}
    if reply.usage is not None:
        yield {**head, "choices": [], "usage": reply.usage.body()}


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    yield {"role": "assistant", "content": "" if isinstance(content, str) else None}
    if isinstance(content, str):
        for piece in _PIECE.findall(content):
            yield {"content": piece}
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        opening = {"name": function["name"], "arguments": ""}
        yield {
            "tool_calls": [
                {"index": number, "id": call["id"], "type": "function", "function": opening}
            ]
        }
        for piece in _PIECE.findall(function["arguments"]):
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
