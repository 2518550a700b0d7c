"""A judge on loopback that says what it is told to, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web

from llmops_kernel.calls.loop import BackgroundLoop

Say = Callable[[dict[str, Any]], Any]


def sensible(body: dict[str, Any]) -> dict[str, Any]:
    """Answer every prompt's schema with the obvious: all claims supported, top ratings."""
    schema = body["response_format"]["json_schema"]["schema"]
    text = body["messages"][1]["content"]
    return {name: _fill(name, inner, text) for name, inner in schema["properties"].items()}


def _fill(name: str, inner: dict[str, Any], text: str) -> Any:
    if name == "claims":
        claim = {"claim": "The fee is 5 EUR.", "verdict": "supported", "evidence": ""}
        return [{key: claim[key] for key in inner["items"]["properties"]}]
    if name == "verdicts":
        marks = re.findall(r"^\[(c\d+)\]", text, re.MULTILINE)
        return [{"claim": f"[{m}]", "verdict": "supported", "evidence": ""} for m in marks]
    if inner.get("type") == "object":
        return dict.fromkeys(inner["properties"], True)
    if inner.get("type") == "array":
        return ["one", "two", "three"]
    if "enum" in inner:
        return inner["enum"][0]
    return {"integer": inner.get("maximum", 3), "boolean": True, "string": "because"}[inner["type"]]


class StubJudge:
    """The server; a context manager.

    ``say`` gets a request's body and returns text, or data that becomes JSON, or a ready
    ``web.Response``.
    """

    def __init__(self, say: Say = sensible, delay: float = 0.0) -> None:
        self.say = say
        self.delay = delay
        self.bodies: list[dict[str, Any]] = []
        self.most_at_once = 0
        self.reached = threading.Event()
        self._now = 0
        self._loop = BackgroundLoop("stub-judge")
        self._runner: web.ServerRunner | None = None
        self.port = 0

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return settings of a session that has this judge as ``stub/judge``."""
        url = f"http://127.0.0.1:{self.port}/v1"
        return {
            "model": "stub/judge",
            "providers": {"stub": {"base_url": url}},
            "prices": {"stub/judge": {"input": 1, "output": 10}},
            "retries": 0,
            **more,
        }

    def __enter__(self) -> Self:
        self._loop.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._runner is not None
        self._loop.run(self._runner.cleanup())
        self._loop.stop()

    async def _start(self) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.reached.set()
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            await asyncio.sleep(self.delay)
        finally:
            self._now -= 1
        said = self.say(body)
        if isinstance(said, web.StreamResponse):
            return said
        text = said if isinstance(said, str) else json.dumps(said)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return web.json_response(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "judge",
             "choices": [choice], "usage": usage}
        )  # fmt: skip
