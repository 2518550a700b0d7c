"""A judge that fills whatever JSON schema it is asked for, after a fixed time.

The schema is taken from ``response_format`` or from the prompt, where clients write it that cannot
send one. Lists get three entries, so that as many verdicts come back as claims were sent. Run as a
process of its own: ``_schema_judge.py SECONDS``; it prints its port. ``GET /stats`` returns calls,
the most in flight at once, and the seconds between the first request and the last answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from _loopback import serve
from aiohttp import web

_ITEMS = 3


def instance(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Return a value that fits a schema."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return instance((root.get("$defs") or root.get("definitions"))[name], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return instance(schema[key][0], root)
    match schema.get("type"):
        case "array":
            return [instance(schema.get("items", {}), root) for _ in range(_ITEMS)]
        case "integer":
            return max(1, schema.get("minimum", 1))
        case "number":
            return 1.0
        case "boolean":
            return False
        case "null":
            return None
        case "string":
            return "yes"  # a verdict where one is wanted, a text everywhere else
    return {
        name: instance(each, root)
        for name, each in schema.get("properties", {}).items()
        if name in schema.get("required", schema.get("properties", {}))
    }


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the schema an answer must fit."""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        found: dict[str, Any] = wanted["json_schema"]["schema"]
        return found
    decoder = json.JSONDecoder()
    for message in body["messages"]:
        text = message["content"]
        if not isinstance(text, str):
            text = " ".join(part.get("text", "") for part in text)
        at = text.find("{")
        while at >= 0:
            try:
                found, _ = decoder.raw_decode(text, at)
            except ValueError:
                found = None
            if isinstance(found, dict) and "properties" in found:
                return found
            at = text.find("{", at + 1)
    return {"type": "object", "properties": {}}


async def _serve(seconds: float) -> None:
    calls = flying = most = 0
    first = last = 0.0

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal calls, flying, most, first, last
        if request.path == "/stats":
            told = {"calls": calls, "most": most, "seconds": last - first}
            calls = most = 0
            first = last = 0.0
            return web.json_response(told)
        body = json.loads(await request.read())
        first = first or time.perf_counter()
        calls, flying = calls + 1, flying + 1
        most = max(most, flying)
        await asyncio.sleep(seconds)
        if request.path.endswith("/embeddings"):
            given = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": n, "embedding": [0.6, 0.8]}
                    for n in range(len(given))]  # fmt: skip
            answer = {"object": "list", "data": data, "model": "judge",
                      "usage": {"prompt_tokens": 5, "total_tokens": 5}}  # fmt: skip
        else:
            schema = schema_of(body)
            content = json.dumps(instance(schema, schema))
            choice = {"index": 0, "message": {"role": "assistant", "content": content},
                      "finish_reason": "stop"}  # fmt: skip
            answer = {"id": "chatcmpl-stub", "object": "chat.completion", "created": 1_790_000_000,
                      "model": body["model"], "choices": [choice],
                      "usage": {"prompt_tokens": 500, "completion_tokens": 120,
                                "total_tokens": 620}}  # fmt: skip
        flying -= 1
        last = time.perf_counter()
        return web.json_response(answer)

    await serve(handle)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
