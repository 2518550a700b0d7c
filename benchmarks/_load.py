"""Sends a fixed number of chat completions and prints how long they took, as JSON.

A process of its own, so that its work is not counted to the server it measures. Every prompt is
different: neither a cache nor a check for repeated requests shall make a difference. An answer
that is not the stub's whole text is a failure, and a failure ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
import uuid
from typing import Any

import aiohttp
from _stub import ANSWER

_TIMEOUT_S = 120
_PADDING = "Explain in two sentences what happens to the money of a call. " * 3


class Load:
    """One run of requests against one server."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._url = f"{options.url}/chat/completions"
        self._headers = {"Authorization": f"Bearer {options.key}"}
        self._model: str = options.model
        self._stream: bool = options.stream
        self._concurrency: int = options.concurrency
        self._numbers = iter(range(options.requests))
        self._run = uuid.uuid4().hex
        self._ms: list[float] = []

    async def run(self) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=self._headers
        ) as session:
            began = time.perf_counter()
            await asyncio.gather(*(self._client(session) for _ in range(self._concurrency)))
            seconds = time.perf_counter() - began
        return {"seconds": seconds, "ms": self._ms}

    async def _client(self, session: aiohttp.ClientSession) -> None:
        for number in self._numbers:
            began = time.perf_counter()
            async with session.post(self._url, json=self._body(number)) as response:
                raw = await response.read()
                status = response.status
            self._ms.append((time.perf_counter() - began) * 1_000)
            text = _text(raw, self._stream) if status == 200 else None
            if text != ANSWER:
                sys.exit(f"HTTP {status}: {raw[:500].decode(errors='replace')}")

    def _body(self, number: int) -> dict[str, Any]:
        messages = [
            {"role": "system", "content": "You are a terse assistant of a bank."},
            {"role": "user", "content": f"{self._run} {number}: {_PADDING}"},
        ]
        body: dict[str, Any] = {"model": self._model, "messages": messages, "max_tokens": 128}
        return {**body, "stream": True} if self._stream else body


def _text(raw: bytes, stream: bool) -> str:
    if not stream:
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    events = (line[6:] for line in raw.split(b"\n") if line.startswith(b"data: {"))
    choices = itertools.chain.from_iterable(json.loads(event)["choices"] for event in events)
    return "".join(choice["delta"].get("content") or "" for choice in choices).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--url", required=True, help="base URL, up to /v1")
    parser.add_argument("--key", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--stream", action="store_true")
    print(json.dumps(asyncio.run(Load(parser.parse_args()).run())))


if __name__ == "__main__":
    main()
