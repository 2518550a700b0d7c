"""The way of ``local/NAME`` through the door: its price, its key, and the replica that is freest.

A record is read when its file has changed, so that a server another process starts, scales or
stops is seen at the next call.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.calls.catalog import Target
from llmops_kernel.calls.prices import FreePrice, TablePrice
from llmops_kernel.calls.reply import ReplyStream
from llmops_kernel.errors import ProviderError, ProviderUnreachable, StoreError, UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.settings import PriceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.prices import Price
    from llmops_kernel.calls.reply import Outcome, Reply
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.stage import Handler
    from llmops_kernel.serve.record import Replica, ServerRecord

PROVIDER = "local"
_SHUNNED_S = 5.0  # how long a replica that failed gets no traffic while another one answers
_KEPT_PLACES = 256
_NOTED_S = 2.0  # how fine the time of the last use is
_AWAY = {500, 502, 503, 504}  # statuses of a server that is not well


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: tuple[int, int]
    record: ServerRecord
    target: Target


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a server's files are, as text: a path object for each call costs more than the look."""

    record: str
    key: str
    used: str


class LocalServers:
    """The servers there are, as the catalog and the upstream ask for them.

    Args:
        variable: Gives the value of a variable, for keys of servers that others run.
    """

    def __init__(self, variable: Callable[[str], str | None] = os.environ.get) -> None:
        self._variable = variable
        self._known: dict[str, _Known] = {}
        self._keys: dict[str, tuple[tuple[int, int], str]] = {}
        self._where: dict[tuple[str, str], _Places] = {}
        self._owned: list[str] = []

    def own(self, name: str) -> None:
        """Note that a server ends with this session."""
        self._owned.append(name)

    def close(self) -> None:
        """Stop the servers that end with this session and are still its own."""
        owned, self._owned = self._owned, []
        if not owned:
            return
        from llmops_kernel.serve.servers.stopping import stop_owned

        for name in owned:
            stop_owned(name)

    def names(self) -> list[str]:
        """Return the names of all servers."""
        return records.names()

    def record(self, name: str) -> ServerRecord | None:
        """Return a server, or None if there is none."""
        found = self._find(name)
        return None if found is None else found.record

    def target(self, name: str) -> Target | None:
        """Return where calls to ``local/NAME`` go; None if no such server is registered.

        The target's base URL names server and weights, not a port: answers in the cache stay good
        when the same weights are served again, and are not served for others. `LocalDoor` puts a
        replica's URL in its place.
        """
        found = self._find(name)
        return None if found is None else found.target

    def key_of(self, target: Target) -> str | None:
        """Return the key that a target's replica asks for: for its own address, and no other."""
        if target.provider != PROVIDER:
            return None
        record = self.record(target.name.partition("/")[2])
        if record is None or all(each.url != target.base_url for each in record.replicas):
            return None
        if record.attached:
            return self._variable(record.key_env) if record.key_env else None
        return self._key(record) if record.capabilities.get("keyed") else None

    def used(self, name: str) -> None:
        """Note that a server is called."""
        with contextlib.suppress(OSError):
            os.utime(self._places(name).used)

    def _find(self, name: str) -> _Known | None:
        if not name or os.sep in name or name in (os.curdir, os.pardir):
            return None
        try:
            stat = os.stat(self._places(name).record)  # noqa: PTH116 - see _Places
        except (OSError, ValueError):
            self._known.pop(name, None)
            return None
        stamp = (stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(name)
        if known is not None and known.stamp == stamp:
            return known
        try:
            record = records.read_record(name)
        except (UsageProblem, StoreError):
            return None
        known = self._known[name] = _Known(stamp, record, _target(record))
        return known

    def _key(self, record: ServerRecord) -> str | None:
        path = self._places(record.name).key
        try:
            stat = os.stat(path)  # noqa: PTH116 - see _Places
            stamp = (stat.st_mtime_ns, stat.st_ino)
            known = self._keys.get(record.name)
            if known is None or known[0] != stamp:
                known = stamp, Path(path).read_text(encoding="utf-8").strip()
                self._keys[record.name] = known
        except OSError:
            return None
        return known[1]

    def _places(self, name: str) -> _Places:
        home = os.environ.get("LLMOPS_HOME", "")
        places = self._where.get((home, name))
        if places is None:
            if len(self._where) >= _KEPT_PLACES:
                self._where.clear()
            folder = records.folder_of(name)
            files = (str(folder / each) for each in (records.RECORD, records.KEY, records.USED))
            places = self._where[home, name] = _Places(*files)
        return places


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
        name = target.name.partition("/")[2]
        record = self._servers.record(name)
        if record is None:
            raise ProviderUnreachable(
                "The server has been stopped",
                dispatched=False,
                detail=target.name,
                hint=f"Start it again: %serve start {name}",
            )
        self._note(name)
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


def _target(record: ServerRecord) -> Target:
    return Target(
        name=f"{PROVIDER}/{record.name}",
        provider=PROVIDER,
        model=record.model,
        price=_price(record),
        base_url=f"local://{record.name}/{record.identity}",
    )


def _price(record: ServerRecord) -> Price:
    most = record.context or None
    if record.free:
        return FreePrice(f"free: {PROVIDER}/{record.name}", most)
    settings = PriceSettings(
        input=Decimal(record.usd_input),
        output=Decimal(record.usd_output),
        max_output_tokens=most,
        confirm=True,  # a GPU's tokens may cost less than any provider's
    )
    return TablePrice(f"{PROVIDER}/{record.name}", settings)
