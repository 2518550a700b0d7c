"""A judge that answers every triad after a fixed time, with the same verdicts.

Run as a process of its own: ``_judge_stub.py SECONDS``; it prints its port and serves.
"""

from __future__ import annotations

import asyncio
import json
import sys

from _loopback import serve
from aiohttp import web

VERDICT = {"verdict": "supported", "evidence": "The fee is 5 EUR."}
TRIAD = {
    "claims": [{"claim": f"Claim {number} of the answer.", **VERDICT} for number in range(3)],
    "relevance": 3,
    "passages": {"p1": True, "p2": False, "p3": True},
}


def _body() -> bytes:
    message = {"role": "assistant", "content": json.dumps(TRIAD)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 500, "completion_tokens": 120, "total_tokens": 620}
    head = {"id": "chatcmpl-stub", "object": "chat.completion", "created": 1_790_000_000}
    return json.dumps({**head, "model": "judge", "choices": [choice], "usage": usage}).encode()


async def _serve(seconds: float) -> None:
    body = _body()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        await asyncio.sleep(seconds)
        return web.Response(body=body, content_type="application/json")

    await serve(handle)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
