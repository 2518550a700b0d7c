"""Streams as server-sent events."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from llmops_kernel.calls.endpoint import problems
from llmops_kernel.calls.wire import encode
from llmops_kernel.errors import LLMOpsError, ProviderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.calls.reply import Chunk, Ending, Outcome, Reply, ReplyStream

_log = logging.getLogger(__name__)
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # a proxy in front of a team's gateway must not collect them
}


class Events(Protocol):
    """Turns chunks into the bytes of one API's event stream."""

    def begin(self) -> bytes:
        """Return what comes before the first chunk."""
        ...

    def chunk(self, chunk: Chunk) -> bytes:
        """Return the events of a chunk ("" for none)."""
        ...

    def end(self, final: Reply, ending: Ending) -> bytes:
        """Return what comes after the last chunk."""
        ...

    def error(self, error: LLMOpsError) -> bytes:
        """Return the event that says the stream broke off."""
        ...


async def send_stream(
    request: web.BaseRequest, stream: ReplyStream, events: Events, facts: Mapping[str, str]
) -> web.StreamResponse:
    """Send a stream to the end; a client that leaves closes it.

    Raises:
        LLMOpsError: The stream failed before its first chunk, so a status can still say so.
    """
    endings: list[Ending] = []

    def note(outcome: Outcome) -> None:
        endings.append(outcome.ending)

    response = web.StreamResponse(headers={**_HEADERS, **facts})
    try:
        await stream.observed(note)
        first = await anext(stream, None)
        if first is None:
            raise ProviderError("The provider's answer is empty")
        opening = events.begin() + events.chunk(first)
        await response.prepare(request)
        await response.write(opening)
        try:
            async for chunk in stream:
                if data := events.chunk(chunk):
                    await response.write(data)
            tail = _tail(stream, events, endings[-1])
        except LLMOpsError as error:
            tail = events.error(error)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the client is told, the log has the rest
            _log.exception("A stream at the endpoint failed")
            tail = events.error(problems.internal(error))
        await response.write(tail)
        await response.write_eof()
    except ConnectionError:  # the client has left
        return response
    finally:
        await stream.aclose()
    return response


def _tail(stream: ReplyStream, events: Events, ending: Ending) -> bytes:
    if ending == "truncated":
        return events.error(ProviderError("The provider's answer broke off"))
    assert stream.final is not None
    return events.end(stream.final, ending)


class ChatEvents:
    """Chat completion chunks.

    The usage that the door asks every provider for is taken out; a caller who asked gets one chunk
    with the settled usage at the end, also where the provider sent none.

    Args:
        include_usage: Whether the caller asked for the usage chunk.
    """

    def __init__(self, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._open: set[int] = set()

    def begin(self) -> bytes:
        """Return nothing: the first chunk is the first event."""
        return b""

    def chunk(self, chunk: Chunk) -> bytes:
        """Return the chunk without its usage."""
        choices = chunk.get("choices") or ()
        if "usage" in chunk:
            if not choices:
                return b""
            chunk = {key: value for key, value in chunk.items() if key != "usage"}
        for choice in choices:
            index = choice.get("index", 0)
            if choice.get("finish_reason"):
                self._open.discard(index)
            else:
                self._open.add(index)
        return _event(chunk)

    def end(self, final: Reply, ending: Ending) -> bytes:
        """Return the finish of choices that were cut, the usage if asked for, and the end mark."""
        head = {
            "id": final.id,
            "object": "chat.completion.chunk",
            "created": final.created,
            "model": final.model,
        }
        tail = b""
        if ending == "cut" and self._open:
            choices = [
                {"index": index, "delta": {}, "finish_reason": "length"}
                for index in sorted(self._open)
            ]
            tail = _event({**head, "choices": choices})
        if self._include_usage:
            body = final.body()
            figures = {"usage": body["usage"], "llmops": body["llmops"]}
            tail += _event({**head, "choices": [], **figures})
        return tail + b"data: [DONE]\n\n"

    def error(self, error: LLMOpsError) -> bytes:
        """Return the error body as an event, which OpenAI's clients raise."""
        return _event(error.body())


def _event(body: Any) -> bytes:
    return b"data: " + encode(body) + b"\n\n"
