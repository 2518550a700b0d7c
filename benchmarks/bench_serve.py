"""What ``local/NAME`` costs over the engine alone, and how two engines stand a load.

The overhead is the CPU time of this process for a request through the door (trace, cache, breaker,
route, budget, ledger, dispatch to a replica), less that of the same request by the same HTTP client
straight to the engine. Engines get the same trained model, closed loops of 1, 4 and 16 clients and
one open loop, on one machine with the load generator.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import _measure as measure

from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.calls.prices import FreePrice
from llmops_kernel.labs.tiny_served import LEARNT, tiny_served
from llmops_kernel.serve.loadtest import Goal, Load, LoadTest, load_test
from llmops_kernel.serve.servers import Wanted, key_of, look, start_server, stop_server
from llmops_kernel.session import Session

QUESTIONS = tuple(LEARNT)
AIM_MS = 1.0


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def body(number: int) -> dict[str, Any]:
    # Drawn by chance for the cache, so that every request travels the whole path.
    return {"messages": [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}],
            "max_tokens": 16}  # fmt: skip


def through_the_door(session: Session, name: str, requests: int) -> float:
    """Return CPU milliseconds a request."""

    async def go() -> None:
        for number in range(requests):
            asked = ChatRequest.from_body({"model": f"local/{name}", **body(number)})
            await session.acall(asked)

    began = cpu_s()
    session._loop.run(go())  # noqa: SLF001
    session.store.flush()
    return (cpu_s() - began) * 1_000 / requests


def straight(session: Session, name: str, requests: int) -> float:
    """Return CPU milliseconds a request of the same client, past every stage."""
    record = look(name, ask=False).record
    target = session.catalog.resolve(f"local/{name}")
    here = replace(target, base_url=record.replicas[0].url, price=FreePrice())

    async def go() -> None:
        for number in range(requests):
            asked = ChatRequest.from_body({"model": "x", **body(number)})
            await session._upstream(asked, CallContext(call_id=str(number), target=here))  # noqa: SLF001

    began = cpu_s()
    session._loop.run(go())  # noqa: SLF001
    return (cpu_s() - began) * 1_000 / requests


def overhead(folder: Path, name: str, requests: int, rounds: int) -> list[float]:
    """Return the door's CPU milliseconds over the engine alone, one value a round."""
    found = []
    with Session(store=f"sqlite:///{folder / 'bench.db'}") as session:
        through_the_door(session, name, 20)
        straight(session, name, 20)
        for _ in range(rounds):
            direct = straight(session, name, requests)
            found.append(through_the_door(session, name, requests) - direct)
    return found


def load(name: str, requests: int) -> LoadTest:
    record = look(name, ask=False).record
    goal = Goal(record.replicas[0].url, record.model, key_of(record), name)
    loads = [Load(clients, requests=max(requests, clients)) for clients in (1, 4, 16)]
    closed = load_test(goal, loads, prompts=QUESTIONS, max_tokens=24)
    rate = 0.6 * closed.row(clients=16).requests_per_s
    opened = load_test(goal, [Load(rate=rate, requests=requests)], prompts=QUESTIONS, max_tokens=24)
    rows = (*closed.rows, *opened.rows)
    return LoadTest(name, rows, closed.notes, closed.batches, ())


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    options = parser.parse_args()
    requests, rounds = (24, 2) if options.quick else (200, 5)
    report = measure.Report(
        "serve",
        "local/NAME over the engine alone, and two engines under load",
        ("engine", "load", "completeness", "TTFT p50 ms", "TTFT p95 ms", "tokens/s", "at once",
         "start s", "RSS MiB"),
        ("aiohttp",),
        {"requests": requests, "rounds": rounds, "model": "0.9 M parameters"},
    )  # fmt: skip
    model = tiny_served()
    whole = []
    with tempfile.TemporaryDirectory() as folder:
        for engine, each in (("llama-server", requests), ("transformers", max(requests // 4, 16))):
            made = start_server(model.ref, engine=engine, name=engine, wanted=Wanted(slots=16))
            try:
                if engine == "llama-server":
                    costs = overhead(Path(folder), engine, requests, rounds)
                test = load(engine, each)
                rss = look(engine, ask=False).rss or 0
            finally:
                stop_server(engine)
            for row in test.rows:
                whole.append(row.completeness)
                report.add(
                    **{
                        "engine": engine + ("" if test.batches else " (no batching)"),
                        "load": "open, 60 % of its most" if row.rate else row.load,
                        "completeness": row.completeness,
                        "TTFT p50 ms": (row.ttft_p50_s or 0) * 1_000,
                        "TTFT p95 ms": (row.ttft_p95_s or 0) * 1_000,
                        "tokens/s": row.tokens_per_s,
                        "at once": row.streams_at_once,
                        "start s": made.record.ready_s,
                        "RSS MiB": rss / 2**20,
                    }
                )
    cost = measure.Figure.of(costs)
    report.targets.append(
        measure.Target("door and route over the engine", AIM_MS, cost.median, "ms of CPU a request")
    )
    report.targets.append(
        measure.Target("answers that came whole", 1.0, min(whole), "share", at_least=True)
    )
    report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
