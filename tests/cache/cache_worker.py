"""A process that makes one call: run with the session's settings and the request's body."""

from __future__ import annotations

import json
import sys

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest


def main(settings: str, body: str) -> None:
    """Make the call and print what came."""
    with Session(**json.loads(settings)) as session:
        reply = session.call(ChatRequest.from_body(json.loads(body)))
    print(json.dumps({"text": reply.text, "cached": reply.cached, "cost_nano": reply.cost_nano}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
