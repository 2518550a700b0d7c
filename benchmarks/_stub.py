"""An upstream that answers at once: what is measured in front of it is the gateway's own work.

Run as a process of its own; it prints its port and serves until it is stopped.
"""

from __future__ import annotations

import asyncio
import json

from _loopback import serve
from aiohttp import web

ANSWER = (
    "A reservation sets the worst case of a call aside before it is sent. When the answer has "
    "arrived the call is settled at what it really cost, and what is left of the reservation is "
    "given back to the cap it was taken from."
)
_HEAD = {"id": "chatcmpl-stub", "created": 1_790_000_000, "model": "gpt-4o"}
_USAGE = {"prompt_tokens": 60, "completion_tokens": 44, "total_tokens": 104}


def _whole() -> bytes:
    message = {"role": "assistant", "content": ANSWER}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(body).encode()


def _events() -> list[bytes]:
    def event(delta: dict[str, str], finish: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    head = {**_HEAD, "object": "chat.completion.chunk"}
    words = [event({"content": f"{word} "}, None) for word in ANSWER.split()]
    usage = b"data: " + json.dumps({**head, "choices": [], "usage": _USAGE}).encode() + b"\n\n"
    first = event({"role": "assistant", "content": ""}, None)
    return [first, *words, event({}, "stop"), usage, b"data: [DONE]\n\n"]


_BODY = _whole()
_PIECES = _events()


async def _handle(request: web.BaseRequest) -> web.StreamResponse:
    body = await request.read()
    if b'"stream": true' not in body and b'"stream":true' not in body:
        return web.Response(body=_BODY, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for piece in _PIECES:
        await response.write(piece)
    await response.write_eof()
    return response


if __name__ == "__main__":
    asyncio.run(serve(_handle))
