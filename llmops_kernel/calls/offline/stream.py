"""Writes a finished reply as OpenAI's stream of chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llmops_kernel.calls.chunking import chunks_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llmops_kernel.calls.reply import Chunk, Reply

_BREATH = 32  # chunks between two turns given to other tasks of the loop


async def streamed(reply: Reply) -> AsyncIterator[Chunk]:
    """Yield a reply's chunks: role, word-sized pieces, finish reason, then usage."""
    for number, chunk in enumerate(chunks_of(reply)):
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)
        yield chunk
