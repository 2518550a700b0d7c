"""Calls that nobody waits for, within a cap a day: judges, and the fresh answers of audits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from llmops_kernel.budget import nano
from llmops_kernel.cache.options import caching
from llmops_kernel.calls import ReplyStream
from llmops_kernel.calls.counting import TokenCounting
from llmops_kernel.errors import CallRefused, LLMOpsError
from llmops_kernel.store import margin_rows
from llmops_kernel.trace import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmops_kernel.calls import CallContext, Reply, Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)
_DAY = 86_400_000_000


class Resolver(Protocol):
    """Knows where calls to a model go; the catalog is one."""

    def resolve(self, name: str) -> Target:
        """Return where calls to a model go."""
        ...


class Door:
    """The way to a model, for calls of the cache's own.

    Args:
        ask: Makes a call, as a session does.
        catalog: Knows where calls go, and what they cost.
        default_max_tokens: Output tokens of a call that sets no bound of its own.
    """

    def __init__(
        self,
        ask: Callable[[Request, CallContext], Awaitable[Reply | ReplyStream]],
        catalog: Resolver,
        default_max_tokens: int,
    ) -> None:
        self.ask = ask
        self.catalog = catalog
        self.default_max_tokens = default_max_tokens


class Background:
    """Makes calls that nobody waits for, until it is `stopped`.

    A call's worst case is taken from the day's cap before it is made, over all kernels, and what
    was not spent is given back; the ledger's caps hold as for every call.

    Args:
        door: The way to a model; None where there is none.
        store: The record.
        settings: Returns the settings in force.
        now: Returns microseconds since the epoch.
    """

    def __init__(
        self,
        door: Door | None,
        store: Store,
        settings: Callable[[], CacheSettings],
        now: Callable[[], int],
    ) -> None:
        self._door = door
        self._store = store
        self._settings = settings
        self._now = now
        self._counting = TokenCounting()
        self._said: set[str] = set()
        self.stopped = False

    async def call(self, request: Request, context: CallContext) -> Reply | None:
        """Make a call on behalf of another; None if it was not made or brought nothing."""
        door, tenant = self._door, context.tenant
        if door is None or self.stopped:
            return None
        day, taken = self._now() // _DAY, 0
        reply: Reply | None = None
        cost = 0
        try:
            worst = self._worst(door, request)
            cap = nano(self._settings().judge_usd)
            if not await self._store.arun(self._take, tenant, day, worst, cap):
                return None
            taken = cost = worst  # what is not told back was spent
            own = context.with_(
                call_id=new_id(),
                purpose="judge",
                # It is no call of the cell's: its loop breaker must not count it.
                cell_run=f"cache:{context.call_id}",
                target=None,
                depth=context.depth + 1,
                max_usd_nano=worst,
            )
            with caching("off"):
                came = await door.ask(_whole(request), own)
                reply = await came.collect() if isinstance(came, ReplyStream) else came
            cost = reply.cost_nano
        except CallRefused as error:
            cost = 0
            _log.info("A call of the cache's own was not made: %s", error.sentence())
        except LLMOpsError as error:
            level = logging.INFO if error.sentence() in self._said else logging.WARNING
            self._said.add(error.sentence())
            _log.log(level, "A call of the cache's own failed: %s", error.sentence())
        if taken > cost:
            await self._store.arun(self._give_back, tenant, day, taken - cost)
        return reply

    def _worst(self, door: Door, request: Request) -> int:
        target = door.catalog.resolve(request.model)
        if target.price.free:
            return 0
        counted = self._counting.bound(request, target.name)
        dearer = self._counting.conditions(request)
        output = (request.max_tokens or door.default_max_tokens) * request.n
        return int(target.price.worst(counted, output, **dearer))

    def _give_back(self, tenant: str, day: int, amount: int) -> None:
        with self._store.transaction() as tx:
            margin_rows.give_back(tx, tenant, day, amount)

    def _take(self, tenant: str, day: int, amount: int, cap: int) -> bool:
        with self._store.transaction() as tx:
            return margin_rows.spend(tx, tenant, day, amount, cap)


def _whole(request: Request) -> Request:
    """Return a request whose answer comes whole."""
    extra = {name: value for name, value in request.extra.items() if name != "stream_options"}
    whole: Request = request.with_(stream=False, extra=extra)
    return whole
