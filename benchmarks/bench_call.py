"""What a call through the door costs a program, beyond what answers it.

`Session.call` with every stage on (trace, loop breaker, resolve, retry, three caps on SQLite),
minus the same engine or upstream called directly with the same request. CPU time of the whole
process: the caller's thread, the loop's thread, and what is written a moment after the answer.
The HTTP stub is a process of its own and is not counted.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure
import _servers

from llmops_kernel import Session
from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.calls.offline import OfflineEngine
from llmops_kernel.calls.upstream import HTTPUpstream
from llmops_kernel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls import Handler

_SETTLE_S = 0.15  # rows that end a span are written within this time
_NUMBERS = itertools.count()  # no two prompts are the same, in any round
_SYSTEM = "Answer from the context, in one sentence."
_CONTEXT = (
    "Context: Transfers inside the bank are free and arrive at once. Transfers to other banks cost "
    "0.20 euro and arrive on the next working day. Cards that are lost can be blocked in the app. "
)
_QUESTIONS = ("What does a transfer to another bank cost?", "How is a lost card blocked?")


def make_requests(model: str, count: int) -> list[ChatRequest]:
    def body(number: int) -> dict[str, Any]:
        text = f"{_CONTEXT}\nTicket {number}.\nQuestion: {_QUESTIONS[number % len(_QUESTIONS)]}"
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        return {"model": model, "messages": messages, "max_tokens": 128}

    return [ChatRequest.from_body(body(next(_NUMBERS))) for _ in range(count)]


def direct_ms(engine: Handler, session: Session, requests: Sequence[ChatRequest]) -> float:
    """Return the CPU milliseconds per request of the bare engine."""
    target = session.catalog.resolve(requests[0].model)

    async def serve() -> None:
        for request in requests:
            reply = await engine(request, CallContext("direct", target=target))
            assert reply.text

    before = time.process_time_ns()
    _LOOP.run_until_complete(serve())
    return (time.process_time_ns() - before) / 1e6 / len(requests)


def session_ms(session: Session, requests: Sequence[ChatRequest]) -> tuple[float, float]:
    """Return the CPU and the wall milliseconds per request of `Session.call`."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    for request in requests:
        assert session.call(request).text
    taken = time.perf_counter_ns() - wall
    time.sleep(_SETTLE_S)
    spent = time.process_time_ns() - cpu
    return spent / 1e6 / len(requests), taken / 1e6 / len(requests)


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    rounds, count = (3, 40) if options.quick else (21, 200)
    report = measure.Report(
        "call",
        "CPU of Session.call beyond the engine or upstream that answers",
        ("model", "direct CPU ms", "Session.call CPU ms", "added CPU ms", "Session.call wall ms"),
        ("aiohttp",),
        {"rounds": rounds, "calls_per_round": count},
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stub = stack.enter_context(_servers.stub())
        (folder / "llmops.toml").write_text(_servers.gateway_settings(stub.url), encoding="utf-8")
        settings = Settings.load(
            {"store": f"sqlite:///{folder / 'record.db'}"}, folder=folder, environ={}
        )
        session = stack.enter_context(Session(settings=settings))
        upstream = HTTPUpstream(keys=lambda _: None)
        engines: dict[str, Handler] = {"sim/gpt-4o": OfflineEngine(), "bench/gpt-4o": upstream}
        for model, engine in engines.items():
            direct, through, added, wall = [], [], [], []
            for number in range(rounds + 1):
                alone = direct_ms(engine, session, make_requests(model, count))
                cpu, took = session_ms(session, make_requests(model, count))
                if number:  # the first round opens connections and fills caches
                    direct.append(alone)
                    through.append(cpu)
                    added.append(cpu - alone)
                    wall.append(took)
            report.add(
                **{
                    "model": model + (" (HTTP stub)" if engine is upstream else ""),
                    "direct CPU ms": measure.Figure.of(direct),
                    "Session.call CPU ms": measure.Figure.of(through),
                    "added CPU ms": measure.Figure.of(added),
                    "Session.call wall ms": measure.Figure.of(wall),
                }
            )
            added_ms = measure.Figure.of(added).median
            report.targets.append(measure.Target(f"added to {model}", 0.5, added_ms, "ms of CPU"))
        _LOOP.run_until_complete(upstream.close())
    report.finish(options)


_LOOP = asyncio.new_event_loop()

if __name__ == "__main__":
    main()
