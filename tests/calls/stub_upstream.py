"""A real OpenAI-compatible server on loopback that can be told to misbehave."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.calls.wire import read_bounded

if TYPE_CHECKING:
    from llmops_kernel.calls.usage import Usage


@dataclass
class Answer:
    """One scripted answer: a body, then optionally a fault.

    ``end`` is ``eof`` (a proper end), ``reset`` (the connection is cut) or ``hang``.
    """

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] | None = None
    end: str = "eof"
    delay: float = 0.0


@dataclass
class Seen:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


RESET = Answer(end="reset", pieces=None, status=0)
HANG = Answer(end="hang", status=0)


def events(*chunks: Any, done: bool = True) -> list[bytes]:
    """Return SSE pieces for chunk objects (or ready strings)."""
    pieces = [b"data: " + _bytes(chunk) + b"\n\n" for chunk in chunks]
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


def stream(*chunks: Any, done: bool = True, end: str = "eof", **more: Any) -> Answer:
    """Return a scripted SSE answer."""
    headers = {"Content-Type": "text/event-stream"}
    return Answer(headers=headers, pieces=events(*chunks, done=done), end=end, **more)


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> dict:
    """Return a ``chat.completion.chunk``."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "stub-1",
        "choices": [{"index": index, "delta": delta, "finish_reason": finish}],
        **more,
    }


def usage_chunk(prompt: int = 7, completion: int = 3) -> dict:
    """Return the chunk that ``include_usage`` asks for."""
    return {**chunk(), "choices": [], "usage": _usage(prompt, completion)}


def completion(text: str = "Hello there.", **more: Any) -> dict:
    """Return a ``chat.completion`` body."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "stub-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(7, 3),
        "system_fingerprint": "fp_1",
        **more,
    }


class FreePrice:
    """A price of nothing."""

    version = "test"
    free = True
    max_output_tokens = None

    def cost(self, usage: Usage) -> int:
        return 0

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        return 0


class StubUpstream:
    """The server; a context manager. Answers sensibly unless `script` says otherwise."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.left = threading.Event()  # set when a client has gone in the middle of an answer
        self._script: list[Answer] = []
        self._loop = BackgroundLoop("stub-upstream")
        self._runner: web.ServerRunner | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.stop()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *answers: Answer) -> None:
        """Answer the next requests like this, in order."""
        self._script.extend(answers)

    def target(self, **changes: Any) -> Target:
        """Return a target that leads here."""
        values: dict[str, Any] = {
            "name": "stub/stub-1",
            "provider": "stub",
            "model": "stub-1",
            "price": FreePrice(),
            "base_url": self.base_url,
            "key_env": "STUB_KEY",
            "timeout_s": 20.0,
            **changes,
        }
        return Target(**values)

    async def _start(self) -> None:
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await read_bounded(request.content, 2**30)
        body = json.loads(raw) if raw else {}
        self.requests.append(Seen(request.path, dict(request.headers), body))
        answer = self._script.pop(0) if self._script else _default(request.path, body)
        try:
            await asyncio.sleep(answer.delay)
            return await _send(request, answer)
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    if answer.status == 0:
        return await _fault(request, answer, None)
    if answer.pieces is None:
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": "application/json", **answer.headers}
        if answer.end == "eof":
            return web.Response(status=answer.status, body=data, headers=headers)
        pieces = [data]
    else:
        pieces, headers = answer.pieces, answer.headers
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
        await asyncio.sleep(0)
    if answer.end != "eof":
        return await _fault(request, answer, response)
    await response.write_eof()
    return response


async def _fault(
    request: web.BaseRequest, answer: Answer, response: web.StreamResponse | None
) -> web.StreamResponse:
    if answer.end == "hang":
        await asyncio.sleep(600)
    assert request.transport is not None
    await asyncio.sleep(0.02)  # what was written before goes out first
    request.transport.abort()
    return response or web.Response()


def _default(path: str, body: dict[str, Any]) -> Answer:
    if path.endswith("/embeddings"):
        return Answer(body=_embeddings(body))
    messages = [_message(body, n) for n in range(body.get("n") or 1)]
    if not body.get("stream"):
        reason = "tool_calls" if messages[0].get("tool_calls") else "stop"
        choices = [
            {"index": n, "message": message, "finish_reason": reason, "logprobs": None}
            for n, message in enumerate(messages)
        ]
        return Answer(body=completion(choices=choices))
    chunks: list[Any] = []
    for n, message in enumerate(messages):
        chunks.extend(_chunks(message, n))
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append(usage_chunk())
    return stream(*chunks)


def _message(body: dict[str, Any], n: int) -> dict[str, Any]:
    last = body["messages"][-1]
    asked = last.get("content")
    text = asked if isinstance(asked, str) else json.dumps(asked)
    if body.get("tools") and last["role"] != "tool" and body.get("tool_choice") != "none":
        call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"a": 2, "b": 3}'}
        calls = [{"id": "call_1", "type": "function", "function": call}]
        return {"role": "assistant", "content": None, "tool_calls": calls}
    if (body.get("response_format") or {}).get("type") in {"json_object", "json_schema"}:
        return {"role": "assistant", "content": '{"answer": "ok", "score": 4}'}
    return {"role": "assistant", "content": f"Answer {n + 1} to: {text}"}


def _chunks(message: dict[str, Any], n: int) -> list[dict]:
    if not message.get("tool_calls"):
        words = message["content"].split(" ")
        texts = [word if at == 0 else f" {word}" for at, word in enumerate(words)]
        return [*(chunk(text, index=n) for text in texts), chunk(None, "stop", n)]
    call = message["tool_calls"][0]
    parts = [
        {**call, "index": 0, "function": {**call["function"], "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a": 2,'}},
        {"index": 0, "function": {"arguments": ' "b": 3}'}},
    ]
    chunks = [chunk(None, None, n) for _ in parts]
    for made, part in zip(chunks, parts, strict=True):
        made["choices"][0]["delta"] = {"tool_calls": [part]}
    return [*chunks, chunk(None, "tool_calls", n)]


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    given = body["input"]
    many = isinstance(given, list) and not isinstance(given[0], int)
    items = given if many else [given]
    vectors: list[Any] = [[float(len(item)), 0.5] for item in items]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack("<2f", *v)).decode() for v in vectors]
    data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
    return {
        "object": "list",
        "data": data,
        "model": "stub-embed",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


def _usage(prompt: int, completion_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
    }


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
