"""The chunks of a streamed answer, as they come over the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from llmops_kernel.calls import failures, wire
from llmops_kernel.calls.sse import SSEDecoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.reply import Chunk
    from llmops_kernel.calls.sse import Event

# After the end of a stream its connection is kept if the server ends the body in this time.
_DRAIN_S = 0.25
_HEAD = ("id", "object", "created", "model")


class SSEChunks:
    """The chunks of an SSE response; frees its connection at the end, whatever the end is.

    A body that ends without a finish reason and without ``[DONE]`` just ends here: the
    `ReplyStream` around it sees that the answer is truncated.

    Args:
        response: An answer with status 2xx.
        target: Who answers.
        limit: Bytes the whole stream may have, unpacked.
    """

    def __init__(self, response: aiohttp.ClientResponse, target: Target, limit: int) -> None:
        self._response = response
        self._target = target
        self._left = limit
        self._decoder = SSEDecoder()
        self._queue: deque[Chunk] = deque()
        self._open: set[int] = set()  # choices that have begun and not finished
        self._head: Chunk = {}
        self._ended = False
        self._error: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        if not self._queue and not await self._fill():
            raise StopAsyncIteration
        return self._queue.popleft()

    async def peek(self) -> None:
        """Wait for the first chunk.

        Raises:
            ProviderError: The stream failed or ended before it.
        """
        if not await self._fill():
            raise wire.not_a_completion()

    async def aclose(self) -> None:
        """Leave; an unfinished answer is cut by closing its connection."""
        self._ended = True
        self._response.close()

    async def _fill(self) -> bool:
        """Read until there is a chunk; False at the end."""
        try:
            while not self._queue and not self._ended:
                await self._read()
            if self._ended and not self._queue and self._error is None:
                await self._free()
        except BaseException as error:
            self._ended = True
            self._response.close()
            if not isinstance(error, Exception):
                raise
            self._error = failures.from_exception(error, self._target)
        if self._error is not None and not self._queue:
            raise self._error from None
        return bool(self._queue)  # what came before an error is still handed out

    async def _read(self) -> None:
        piece = await self._response.content.readany()
        self._left -= len(piece)
        if self._left < 0:
            raise wire.too_large()
        if piece:
            for event in self._decoder.feed(piece):
                self._take(event)
            return
        for event in self._decoder.close():
            self._take(event, torn=True)  # a torn last event is part of a truncation
        self._ended = True

    def _take(self, event: Event, *, torn: bool = False) -> None:
        if self._ended:
            return
        if event.data == "[DONE]":
            self._ended = True
            if self._open:  # the server says it is complete, so the stream is
                choices = [
                    {"index": index, "delta": {}, "finish_reason": "stop"}
                    for index in sorted(self._open)
                ]
                self._queue.append({**self._head, "choices": choices})
            return
        try:
            body = wire.decode(event.data)
        except ValueError:
            if torn:
                return
            raise wire.not_a_completion() from None
        if event.name == "error" and isinstance(body, dict):
            raise wire.not_a_completion(body if body.get("error") else {"error": body})
        chunk = wire.stream_chunk(body)
        for choice in chunk["choices"]:
            change = self._open.discard if choice.get("finish_reason") else self._open.add
            change(choice["index"])
        if not self._head:
            self._head = {name: chunk[name] for name in _HEAD if name in chunk}
        self._queue.append(chunk)

    async def _free(self) -> None:
        """Hand the connection back to the pool, if the server ends the body soon."""
        content = self._response.content
        if not content.at_eof():
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_DRAIN_S):
                    while await content.readany():
                        pass
        self._response.release()
