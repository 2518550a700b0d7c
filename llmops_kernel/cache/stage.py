"""The stage that answers repeated requests, and lets identical ones wait for the first.

It stands right inside the trace and before the loop breaker: what it serves is recorded, but is
no call, so it is neither counted nor charged. It needs to know where a call would go before the
stage that resolves that, because the key is made of the target and not of the alias, and asks the
same catalog; names that cannot be resolved pass on, to be refused where that is done.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from llmops_kernel.budget.refusals import stop_for
from llmops_kernel.budget.stage import scopes_of
from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.flight import Flights, Landing
from llmops_kernel.cache.policy import finished
from llmops_kernel.cache.replay import Recorder
from llmops_kernel.errors import LLMOpsError
from llmops_kernel.store import ledger_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llmops_kernel.budget import Ledger
    from llmops_kernel.cache.exact import Claim, ExactCache, Lookup
    from llmops_kernel.cache.flight import Flight
    from llmops_kernel.cache.semantic.margin_path import Seen
    from llmops_kernel.calls import CallContext, Handler, Outcome, Reply, ReplyStream, Request
    from llmops_kernel.calls.catalog import Target

# How long to wait before another process's answer is looked for again: at first, and at most.
_FIRST_S, _LONGEST_S = 0.02, 0.25


class Resolver(Protocol):
    """Knows where calls to a model go; the catalog is one."""

    def resolve(self, name: str) -> Target:
        """Return where calls to a model go."""
        ...


class CacheStage:
    """Serves a repeated request the recorded answer of the first.

    Args:
        following: The rest of the path.
        cache: The answers.
        catalog: Knows where calls go.
        ledger: Knows who has stopped calls: a stop holds for answers from cache too.
        outer_key: Name of the key of another process's door; what goes there is cached there.
        approve: Says whether an answer may be kept, for what checks answers further out.
    """

    def __init__(
        self,
        following: Handler,
        *,
        cache: ExactCache,
        catalog: Resolver,
        ledger: Ledger,
        outer_key: str = "",
        approve: Callable[[Request, Outcome, CallContext], bool] | None = None,
    ) -> None:
        self.following = following
        self.cache = cache
        self._catalog = catalog
        self._ledger = ledger
        self._outer_key = outer_key
        self.approve = approve
        self.flights = Flights()
        self._releasing: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve from cache, wait for an identical request, or pass on and keep the answer."""
        lookup = self.lookup(request, context)
        if isinstance(lookup, str):
            return await self.following(request, context)
        give_up = time.monotonic() + self.cache.settings.wait_s
        while True:
            flight, leads = self.flights.join(lookup.key, self.cache.settings.wait_s)
            if leads:
                return await _Lead(self, request, context, lookup, flight).fly(give_up)
            landing = await flight.wait(max(give_up - time.monotonic(), 0.0))
            if landing.entry is not None:
                return await self.serve(request, lookup, landing)
            if landing.alone:
                self.cache.notes.write(self.cache.notes.row("miss", lookup))
                return await self.following(request, context)

    def lookup(self, request: Request, context: CallContext) -> Lookup | str:
        """Return what to look for; or, in words, why the request must be sent."""
        try:
            target = self._catalog.resolve(request.model)
        except LLMOpsError:
            return "the model's name cannot be resolved"
        if self._outer_key and target.key_env == self._outer_key:
            return "the process that started this one decides"
        return self.cache.lookup(request, target, context.with_(target=target))

    async def serve(
        self, request: Request, lookup: Lookup, landing: Landing
    ) -> Reply | ReplyStream:
        """Return a recorded answer. Raises `SpendingStopped`: a stop is a stop."""
        assert landing.entry is not None
        await self._ledger.store.arun(self._refuse_if_stopped, lookup)
        reply = await landing.entry.serve(stream=request.stream, tier=landing.tier)
        notes = self.cache.notes
        notes.write(notes.row("hit", lookup, tier=landing.tier, entry=landing.entry))
        if landing.twin is not None:
            drawn = self.cache.watch.draws(lookup.context.call_id)
            notes.twin(lookup, landing.twin, drawn=drawn)
            if drawn:
                self.cache.watch.audit_soon(request, lookup.context, landing.twin)
        return reply

    def _refuse_if_stopped(self, lookup: Lookup) -> None:
        with self._ledger.store.transaction() as tx:
            stop_for(ledger_rows.controls(tx), scopes_of(lookup.context))

    def give_back(self, claim: Claim) -> None:
        """Let others take a request on, soon."""
        if not self.cache.release_soon(claim):
            self.later(self.cache.release(claim))

    def later(self, work: Coroutine[object, object, None]) -> None:
        """Do something that nobody waits for, on a path that may be on its way out."""
        task = asyncio.get_running_loop().create_task(work)
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)


class _Lead:
    """The first of identical requests on their way: asks the cache, then makes the call."""

    def __init__(
        self,
        stage: CacheStage,
        request: Request,
        context: CallContext,
        lookup: Lookup,
        flight: Flight,
    ) -> None:
        self._stage = stage
        self._request = request
        self._context = context
        self._lookup = lookup
        self._flight = flight
        self._claim: Claim | None = None
        self._seen: Seen | None = None
        self._recorder = Recorder(stage.cache.settings.max_entry_bytes) if request.stream else None

    async def fly(self, give_up: float) -> Reply | ReplyStream:
        """Serve from cache, or call and keep the answer; tell those who wait either way."""
        notes = self._stage.cache.notes
        try:
            landing = await self._ask(give_up)
            if landing is None:
                notes.write(notes.row("miss", self._lookup))
                reply = await self._stage.following(self._request, self._context)
        except BaseException:
            self._land(Landing())
            raise
        if landing is not None:
            self._land(landing)
            return await self._stage.serve(self._request, self._lookup, landing)
        watch = self._recorder.watch if self._recorder else None
        return await reply.observed(self._ended, watch)

    async def _ask(self, give_up: float) -> Landing | None:
        """Return the answer, waiting for another process's; None if it is ours to make.

        What another text was answered is served and not kept under this one: no chain of small
        differences can lead from one question to another.
        """
        pause, waited = _FIRST_S, False
        while True:
            found = await self._enter()
            if isinstance(found, Entry):
                return Landing(found, "flight" if waited else "exact")
            if found is not None:
                self._claim = found
                # The claim stands meanwhile: who asks the same elsewhere asks once more after it.
                twin = await self._stage.cache.twin(self._lookup)
                if twin is None:
                    twin, self._seen = await self._stage.cache.reworded(self._lookup)
                return Landing(twin.entry, twin.tier, twin) if twin else None
            left = give_up - time.monotonic()
            if left <= 0:
                return None
            waited = True
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_S)

    async def _enter(self) -> Entry | Claim | None:
        """Ask the cache; who leaves meanwhile still gives back what was taken on."""
        asking = asyncio.ensure_future(self._stage.cache.enter(self._lookup))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            self._stage.later(self._give_back(asking))
            raise

    async def _give_back(self, asking: asyncio.Future[Entry | Claim | None]) -> None:
        found = await asking
        if found is not None and not isinstance(found, Entry):
            self._stage.give_back(found)

    async def _ended(self, outcome: Outcome) -> None:
        """Keep the answer, if it is whole, and tell those who wait."""
        landing = Landing(alone=outcome.ending == "complete")
        try:
            entry = self._entry(outcome)
            if entry is not None:
                landing = Landing(entry)
                if await self._stage.cache.put(self._lookup, entry, self._claim):
                    self._claim = None
                    self._stage.cache.learn(self._lookup, entry, self._seen)
        finally:
            self._land(landing)

    def _entry(self, outcome: Outcome) -> Entry | None:
        approve = self._stage.approve
        if not finished(outcome) or outcome.reply.cached:
            return None
        if approve is not None and not approve(self._request, outcome, self._context):
            return None
        chunks = self._recorder.chunks() if self._recorder else None
        if self._recorder and chunks is None:
            return None
        try:
            return Entry.of(outcome, chunks)
        except (TypeError, ValueError):  # no JSON
            return None

    def _land(self, landing: Landing) -> None:
        if self._claim is not None:
            self._stage.give_back(self._claim)
            self._claim = None
        self._stage.flights.land(self._lookup.key, self._flight, landing)
