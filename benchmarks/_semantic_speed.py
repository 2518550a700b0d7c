"""What one decision of the cache costs, beside many entries, in the record as in production."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure

from llmops_kernel import Session
from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.stage import CacheStage
from llmops_kernel.calls import CallContext, ChatRequest, Outcome, Reply
from llmops_kernel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.cache.exact import Lookup
    from llmops_kernel.cache.semantic.gates import Gate
    from llmops_kernel.cache.semantic.partition import Partition
    from llmops_kernel.calls import Request

_MODEL = "stub/stub-1"
_SYSTEM = "You answer questions of a bank's customers."
_WARM = 20


@dataclass
class Spent:
    """CPU (all threads of this process) and wall of each decision, in milliseconds."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    hits: int = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Measure what happens within."""
        began, started = time.process_time_ns(), time.perf_counter_ns()
        yield
        self.wall.append((time.perf_counter_ns() - started) / 1e6)
        self.cpu.append((time.process_time_ns() - began) / 1e6)

    def row(self, what: str, entries: int, **more: Any) -> dict[str, Any]:
        """Return a row of the table; the first few decisions warm up and are left out."""
        cpu, wall = self.cpu[_WARM:], self.wall[_WARM:]
        return {
            "what": what, "entries": entries, "lookups": len(cpu), "hits": self.hits,
            "cpu_p50_ms": measure.percentile(cpu, 0.5), "cpu_p99_ms": measure.percentile(cpu, 0.99),
            "wall_p50_ms": measure.percentile(wall, 0.5),
            "wall_p99_ms": measure.percentile(wall, 0.99), **more,
        }  # fmt: skip


class Filled:
    """A session on a record of its own, with an answer for each of many questions."""

    def __init__(self, folder: Path) -> None:
        path = folder / "record.db"
        cache = {"max_entries": 1_000_000, "max_bytes": 2**40}
        providers = {"stub": {"base_url": "http://127.0.0.1:9"}}  # nothing is ever sent
        settings = Settings.load(
            {"store": f"sqlite:///{path}", "providers": providers, "cache": cache,
             "prices": {_MODEL: {"input": 1, "output": 2}}},
            folder=folder, environ={},
        )  # fmt: skip
        self.session = Session(settings=settings)
        self.cache = self.session.cache
        self.target = self.session.catalog.resolve(_MODEL)
        self.loop = asyncio.new_event_loop()
        self.size = 0

    def request(self, text: str) -> ChatRequest:
        """Return the request that asks a question."""
        said = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        return ChatRequest.from_body({"model": _MODEL, "messages": said, "temperature": 0})

    def look(self, text: str) -> Lookup:
        """Return what the cache looks for."""
        lookup = self.cache.lookup(self.request(text), self.target, self.session.context())
        assert not isinstance(lookup, str), lookup
        return lookup

    def fill(self, texts: Sequence[str]) -> None:
        """Keep an answer for each question."""
        self.loop.run_until_complete(self._fill(texts))
        self.size += len(texts)

    async def _fill(self, texts: Sequence[str]) -> None:
        for number, text in enumerate(texts):
            message = {"role": "assistant", "content": f"Answer {number}. " + "It is free. " * 20}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = Reply(f"made-{number}", _MODEL, 0, (choice,), provider="stub", cost_nano=1)
            assert await self.cache.put(self.look(text), Entry.of(Outcome(reply), None), None)

    def close(self) -> None:
        """Close session and loop."""
        self.session.close()
        self.loop.close()


@contextmanager
def filled() -> Iterator[Filled]:
    """Open a `Filled` in a folder that goes away again."""
    with tempfile.TemporaryDirectory() as name:
        made = Filled(Path(name))
        try:
            yield made
        finally:
            made.close()


def exact_dict(entries: Sequence[str], queries: Sequence[str]) -> Spent:
    """A dict by the whole request as JSON: the least an exact cache can cost."""

    def key(text: str) -> str:
        said = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": text}]
        return json.dumps({"model": _MODEL, "messages": said, "temperature": 0}, sort_keys=True)

    answers = {key(text): text for text in entries}
    spent = Spent()
    for query in queries:
        with spent.one():
            found = answers.get(key(query))
        spent.hits += found is not None
    return spent


def exact_hits(made: Filled, queries: Sequence[str]) -> Spent:
    """The whole stage of the cache, for requests that were answered before."""

    async def never(_: Request, __: CallContext) -> Reply:
        raise AssertionError("a repeated request was sent")

    stage = CacheStage(
        never, cache=made.cache, catalog=made.session.catalog, ledger=made.session.ledger
    )

    async def all_of_them() -> Spent:
        spent = Spent()
        for query in queries:
            request, context = made.request(query), made.session.context()
            with spent.one():
                reply = await stage(request, context)
            assert isinstance(reply, Reply)
            spent.hits += reply.tier == "exact"
        return spent

    return made.loop.run_until_complete(all_of_them())


def served_texts(made: Filled, queries: Sequence[str]) -> list[str]:
    """Return what each question is answered from the cache; "" where it is not."""

    async def all_of_them() -> list[str]:
        found = [await made.cache.enter(made.look(query)) for query in queries]
        return [each.reply()[0].text if isinstance(each, Entry) else "" for each in found]

    return made.loop.run_until_complete(all_of_them())


def near_decisions(made: Filled, queries: Sequence[str]) -> Spent:
    """Reading the question, every gate, candidates from the record, the rule, the opened answer."""

    async def all_of_them() -> Spent:
        spent = Spent()
        for query in queries:
            request, context = made.request(query), made.session.context()
            with spent.one():
                lookup = made.cache.lookup(request, made.target, context)
                assert not isinstance(lookup, str)
                twin = await made.cache.twin(lookup)
            spent.hits += twin is not None
        return spent

    return made.loop.run_until_complete(all_of_them())


def margin_decisions(
    partition: Partition, queries: Sequence[tuple[Gate, NDArray[np.float32]]]
) -> Spent:
    """Cosine to every text of the partition, lead, vote, and the gates against the nearest."""
    spent = Spent()
    for gate, vector in queries:
        with spent.one():
            found = partition.standing(vector)
            vetoed = gate.veto(partition.gate(found.entry))
        spent.hits += not vetoed and found.lead > 0
    return spent


def numbered(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return so many different questions: the texts, then the texts about some order's number."""
    rng = random.Random(seed)
    made = list(dict.fromkeys(texts))[:count]
    numbers = iter(rng.sample(range(10_000, 10_000_000), max(count - len(made), 0)))
    bases = list(made)
    while len(made) < count:
        made.append(f"{rng.choice(bases).rstrip(' ?.!')} for order {next(numbers)}?")
    return made
