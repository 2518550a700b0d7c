"""A process that makes one call: run with the session's settings and the request's body.

With a third argument it dies as soon as it has the answer.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest


def main(settings: str, body: str, end: str = "") -> None:
    """Make the call and print what came."""
    with Session(**json.loads(settings)) as session:
        reply = session.call(ChatRequest.from_body(json.loads(body)))
        if end:
            os.kill(os.getpid(), signal.SIGKILL)
    print(json.dumps({"text": reply.text, "cached": reply.cached, "cost_nano": reply.cost_nano}))


if __name__ == "__main__":
    main(*sys.argv[1:])
