"""The way of a call to ``local/NAME``: to the freest replica, and on from one that fails."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.calls.reply import ReplyStream
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.errors import ProviderError, ProviderUnreachable, UsageProblem
from llmops_kernel.serve.adapters import fields_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Outcome, Reply
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.stage import Handler
    from llmops_kernel.serve.local import LocalServers
    from llmops_kernel.serve.record import Replica, ServerRecord

_SHUNNED_S = 5.0  # how long a replica that failed gets no traffic while another one answers
_NOTED_S = 2.0  # how fine the time of the last use is
_AWAY = {500, 502, 503, 504}  # statuses of a server that is not well


class LocalDoor:
    """Hands calls to ``local/NAME`` to the replica with the fewest of ours in flight.

    A replica that fails before it has sent anything is passed over: another one gets the call, and
    the person sees no error. Targets that are no server of ours (``[providers.local]``) pass.

    Args:
        servers: The servers.
        upstream: Sends a request to its target.
        clock: Seconds, for how long a failed replica is passed over.
    """

    def __init__(
        self,
        servers: LocalServers,
        upstream: Handler,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = servers
        self._upstream = upstream
        self._clock = clock
        self._flying: dict[str, int] = {}
        self._failed: dict[str, float] = {}
        self._noted: dict[str, float] = {}

    def in_flight(self, url: str) -> int:
        """Return the calls of this process that a replica is working on."""
        return self._flying.get(url, 0)

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve a request.

        Raises:
            ProviderUnreachable: The server has been stopped since the call began.
            ProviderError: Every replica failed; the last one's error.
        """
        target = context.target
        assert target is not None, "the resolving stage comes before this one"
        if not target.base_url.startswith("local://"):
            return await self._upstream(request, context)
        called = target.name.partition("/")[2]
        name, _, adapter = called.partition(":")
        record = self._servers.record(name)
        if record is None:
            raise ProviderUnreachable(
                "The server has been stopped",
                dispatched=False,
                detail=target.name,
                hint=f"Start it again: %serve start {name}",
            )
        self._note(name)
        request = _for_adapter(request, record, adapter)
        left = list(record.replicas)
        while True:
            replica = self._freest(left)
            left.remove(replica)
            try:
                return await self._try(request, context, target, replica)
            except ProviderError as error:
                if not _replica_failed(error):
                    raise
                self._failed[replica.url] = self._clock()
                if not left:
                    raise

    async def _try(
        self, request: Request, context: CallContext, target: Target, replica: Replica
    ) -> Reply | ReplyStream:
        """Send a request to a replica, once more where only the connection was stale."""
        try:
            # llama-server closes a connection after a stream, and does not say so: the next request
            # on it would find it closed.
            return await self._send(request, context, target, replica, fresh=request.stream)
        except ProviderError as error:
            if type(error) is not ProviderError or error.upstream_status is not None:
                raise
        return await self._send(request, context, target, replica, fresh=True)

    async def _send(
        self,
        request: Request,
        context: CallContext,
        target: Target,
        replica: Replica,
        *,
        fresh: bool,
    ) -> Reply | ReplyStream:
        url = replica.url
        headers = {"Connection": "close"} if fresh else {}
        here = replace(target, base_url=url, headers=headers)
        self._flying[url] = self._flying.get(url, 0) + 1
        landed = False

        def land(outcome: Outcome | None = None) -> None:
            nonlocal landed
            if landed:
                return
            landed = True
            self._flying[url] -= 1
            if outcome is not None and outcome.ending == "truncated":
                self._failed[url] = self._clock()

        try:
            reply = await self._upstream(request, context.with_(target=here))
        except BaseException:
            land()
            raise
        if isinstance(reply, ReplyStream):
            return await reply.observed(land)
        land()
        self._failed.pop(url, None)
        return reply

    def _freest(self, replicas: list[Replica]) -> Replica:
        if len(replicas) == 1:
            return replicas[0]
        now = self._clock()

        def burden(replica: Replica) -> tuple[bool, float, int]:
            failed = self._failed.get(replica.url)
            shunned = failed is not None and now - failed < _SHUNNED_S
            # Of those that failed, the one that did so longest ago.
            return shunned, failed if shunned and failed else 0.0, self.in_flight(replica.url)

        return min(replicas, key=burden)

    def _note(self, name: str) -> None:
        now = self._clock()
        if now - self._noted.get(name, -_NOTED_S) >= _NOTED_S:
            self._noted[name] = now
            self._servers.used(name)


def _replica_failed(error: ProviderError) -> bool:
    """Whether an error is about the replica, and not about the request or the key."""
    if error.upstream_status is None:
        return True  # no connection, no answer in time, or no HTTP
    return error.upstream_status in _AWAY


def _for_adapter(request: Request, record: ServerRecord, name: str) -> Request:
    """Return a request that says which adapter is to answer, where an engine reads it there.

    To the base it says that none is, unless the caller's own field says otherwise.

    Raises:
        ProviderUnreachable: The server runs without that adapter.
    """
    if not name and not record.adapters:
        return request
    try:
        fields = fields_for(record, name)
    except UsageProblem as error:
        raise ProviderUnreachable(
            error.message, dispatched=False, detail=record.name, hint=error.hint
        ) from error
    if record.engine != "llama-server" or not isinstance(request, ChatRequest):
        return request
    own = request.extra
    return request.with_(extra={**own, **fields} if name else {**fields, **own})
