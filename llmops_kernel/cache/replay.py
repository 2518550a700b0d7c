"""Gives a recorded answer again: whole, or as the stream it was or could have been."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.chunking import chunks_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from llmops_kernel.calls import Chunk, Reply

_BREATH = 64  # chunks between two turns given to other tasks of the loop
_OWN = {"id", "object", "created", "model", "choices", "usage"}


class Recorder:
    """Keeps the chunks of a stream as they came.

    Args:
        most: Bytes beyond which nothing is kept.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self._head: dict[str, Any] = {}
        self._rows: list[str] | None = []

    def watch(self, chunk: Chunk) -> bool:
        """Take a chunk in; always lets the stream go on."""
        if self._rows is None:
            return True
        if not self._head:
            self._head = {k: v for k, v in chunk.items() if k not in ("choices", "usage")}
        own = {k: v for k, v in chunk.items() if k not in self._head or self._head[k] != v}
        try:
            # As text at once: whoever gets the chunk next may change it.
            row = json.dumps(own, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError):
            self._rows = None
            return True
        self._left -= len(row)
        if self._left < 0:
            self._rows = None
        else:
            self._rows.append(row)
        return True

    def chunks(self) -> tuple[Chunk, ...] | None:
        """Return the chunks; None if they were too many or no JSON."""
        if self._rows is None:
            return None
        return tuple({**self._head, **json.loads(row)} for row in self._rows)


def packed(chunks: Sequence[Chunk]) -> dict[str, Any]:
    """Return chunks with what they share said once."""
    head = {k: v for k, v in chunks[0].items() if k not in ("choices", "usage")} if chunks else {}
    rows = [{k: v for k, v in c.items() if k not in head or head[k] != v} for c in chunks]
    return {"head": head, "rows": rows}


def unpacked(data: Mapping[str, Any]) -> tuple[Chunk, ...]:
    """Return the chunks that `packed` took in."""
    return tuple({**data["head"], **row} for row in data["rows"])


def whole(reply: Reply, chunks: Sequence[Chunk]) -> Reply:
    """Add to an assembled answer what only its chunks say: log probabilities, other fields."""
    extra: dict[str, Any] = {}
    probabilities: dict[int, dict[str, list[Any]]] = {}
    for chunk in chunks:
        extra.update({k: v for k, v in chunk.items() if k not in _OWN and v is not None})
        for choice in chunk.get("choices") or ():
            for name, items in (choice.get("logprobs") or {}).items():
                if isinstance(items, list):
                    kept = probabilities.setdefault(choice.get("index", 0), {})
                    kept.setdefault(name, []).extend(items)
    choices = tuple(
        {**choice, "logprobs": probabilities[choice["index"]]}
        if choice["index"] in probabilities
        else choice
        for choice in reply.choices
    )
    return reply.with_(choices=choices, extra={**extra, **reply.extra})


async def stream_of(reply: Reply, chunks: Sequence[Chunk] | None) -> AsyncIterator[Chunk]:
    """Yield recorded chunks, or the ones a whole answer would have come in."""
    for number, chunk in enumerate(chunks_of(reply) if chunks is None else chunks):
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)
        yield dict(chunk)
