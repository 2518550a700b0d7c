"""A door without budget or record: the real upstream against the stub server, over real HTTP."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stub_upstream import StubUpstream

from llmops_kernel.calls import CallContext, Outcome, Reply, ReplyStream, Request, Usage
from llmops_kernel.calls.endpoint import Endpoint
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.calls.upstream import HTTPUpstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.calls.endpoint import EndpointInfo


class StubDoor:
    """Sends every call to the stub server.

    Attributes:
        error: Raised instead of calling, if set.
        cut_after: Chunks after which a stream is cut, as the budget does.
        calls: The requests and contexts that came in.
        outcomes: How the calls ended.
    """

    def __init__(self, stub: StubUpstream) -> None:
        self.stub = stub
        self.upstream = HTTPUpstream(lambda _: "sk-provider-key")
        self.error: Exception | None = None
        self.cut_after: int | None = None
        self.target: dict[str, Any] = {}
        self.calls: list[tuple[Request, CallContext]] = []
        self.outcomes: list[Outcome] = []
        self._ids = itertools.count(1)

    async def acall(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        self.calls.append((request, context))
        if self.error is not None:
            raise self.error
        context = context.with_(target=self.stub.target(**self.target))
        reply = await self.upstream(request, context)
        seen = itertools.count(1)
        return await reply.observed(self._settle, lambda _: next(seen) != self.cut_after)

    def context(self, **changes: Any) -> CallContext:
        number = next(self._ids)
        return CallContext(
            **{"call_id": f"call-{number}", "trace_id": f"trace-{number}", **changes}
        )

    def models(self) -> list[str]:
        return ["small", "offline/extractive", "gpt-4o-mini"]

    def _settle(self, outcome: Outcome) -> Reply:
        self.outcomes.append(outcome)
        usage = outcome.reply.usage or Usage(5, 2, estimated=True)
        return outcome.reply.with_(usage=usage, cost_nano=1_234_567)


class Served:
    """A stub server, a door to it and an endpoint in front."""

    def __init__(self, **options: Any) -> None:
        self.stub = StubUpstream()
        self.door = StubDoor(self.stub)
        self.loop = BackgroundLoop()
        self.endpoint = Endpoint(self.door, self.loop, **options)

    @property
    def info(self) -> EndpointInfo:
        return self.endpoint.info


@contextmanager
def serving(**options: Any) -> Iterator[Served]:
    """Run all three, and stop them in order."""
    served = Served(**options)
    with served.stub:
        served.endpoint.start()
        try:
            yield served
        finally:
            served.endpoint.stop()
            served.loop.run(served.door.upstream.close())
            served.loop.stop()
