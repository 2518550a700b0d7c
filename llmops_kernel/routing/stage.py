"""The outermost stage: a call to ``route/NAME`` becomes calls to the models of that route.

It stands before the trace, so that each leg passes the whole path by itself: traced, cached,
counted, reserved and settled under its own model. The route's own span encloses those of its legs
and says what was decided and why. Every other call passes at the price of a look at its name.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.cache.replay import Recorder, stream_of, whole
from llmops_kernel.calls.reply import Outcome, Reply, ReplyStream
from llmops_kernel.errors import (
    BadRequest,
    LLMOpsError,
    ProviderError,
)
from llmops_kernel.routing.book import circle
from llmops_kernel.routing.legs import Journey, Leg
from llmops_kernel.trace import new_id
from llmops_kernel.trace.stage import status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmops_kernel.calls import CallContext, ChatRequest, Chunk, Handler, Request
    from llmops_kernel.routing.book import Routes
    from llmops_kernel.routing.router import Decision
    from llmops_kernel.trace import SpanStatus, Tracer

_MOST_BYTES = 8 * 1024 * 1024  # of an answer that is kept as it came, to be served after its check
_STATUS: dict[str, SpanStatus] = {
    "complete": "ok",
    "cut": "ok",
    "truncated": "error",
    "cancelled": "cancelled",
}


class RouteStage:
    """Serves calls to routes, and passes all others on.

    Args:
        following: The rest of the path, which serves each leg.
        routes: The routes.
        tracer: Where the routes' spans are written.
        booked: Returns what the ledger has charged for a call, in nano-dollars: asked only about
            legs that failed and may be billed.
        passed_over: Told of each answer that a check kept back, without the figures that the
            served reply carries.
    """

    def __init__(
        self,
        following: Handler,
        *,
        routes: Routes,
        tracer: Tracer,
        booked: Callable[[str], Awaitable[int | None]],
        passed_over: Callable[[Outcome], None],
    ) -> None:
        self.following = following
        self.routes = routes
        self.tracer = tracer
        self.booked = booked
        self.passed_over = passed_over

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve a call to a route, or pass on.

        Raises:
            UnknownModel: There is no such route.
            SettingsError: The route cannot be used, or routes go round in a circle.
            CallRefused: A leg was refused; no other model is asked instead.
            ProviderError: The provider of the last leg failed.
        """
        name = self.routes.named(request.model)
        if name is None:
            return await self.following(request, context)
        if request.kind != "chat":
            raise BadRequest("A route serves chat completions only", param="model")
        return await _Trip(self, name, context).go(request)  # type: ignore[arg-type]


class _Trip:
    """One call on its way through a route.

    Args:
        stage: The stage.
        name: The route.
        context: Who calls.
        above: The routes that led here, the outermost first.
    """

    def __init__(
        self, stage: RouteStage, name: str, context: CallContext, above: tuple[str, ...] = ()
    ) -> None:
        if name in above:  # one that was learned anew meanwhile; others are found when asked for
            raise circle([*above, name])
        self._stage = stage
        self._name = name
        self._router = router = stage.routes.get(name)
        self._context = context
        self._above = above
        self.journey = Journey(name, router.kind)
        self._tracer = stage.tracer
        self._span_id = self._tracer.start(
            f"route {name}",
            "tool",
            trace_id=context.trace_id,
            parent_id=context.span_id,
            attributes={"route": name, "router": router.kind},
        )

    async def go(self, request: ChatRequest) -> Reply | ReplyStream:
        """Ask one model after the other, until one's answer is served."""
        try:
            decision = await self._decide(request)
            while True:
                found = await self._leg(request, decision)
                if not isinstance(found, Reply | ReplyStream):
                    decision = found
                    continue
                return await found.observed(self._ended(decision))
        except BaseException as error:
            self._end(None, status_of(error), error=type(error).__name__)
            raise

    async def _decide(self, request: ChatRequest) -> Decision:
        if self._router.heavy:
            decision = await asyncio.to_thread(self._router.decide, request, self._context)
        else:
            decision = self._router.decide(request, self._context)
        return self._allowed(decision)

    def _allowed(self, decision: Decision) -> Decision:
        if decision.model not in self._router.models:
            raise LLMOpsError("A route chose a model that is not one of its own")
        return decision

    async def _leg(
        self, request: ChatRequest, decision: Decision
    ) -> Reply | ReplyStream | Decision:
        """Ask a model: return what is served, or who is asked instead."""
        context = self._leg_context()
        inner = self._stage.routes.named(decision.model)
        ended: list[Outcome] = []
        try:
            reply = await self._ask(request.with_(model=decision.model), context, inner)
            if not self._router.reviews(decision.model):
                return reply
            outcome, chunks = await _collected(reply, ended)
        except ProviderError as error:
            instead = self._router.failed(error, decision)
            await self._lose(decision, error, ended, "" if inner else context.call_id)
            if instead is None:
                raise
            return self._allowed(instead)
        except BaseException as error:
            if ended:  # the caller left while the answer was read
                self._pass_over_failed(decision, error, ended[0])
            raise
        instead = self._router.review(request, outcome, decision)
        if instead is None:
            return await _replayed(outcome.reply, chunks) if request.stream else outcome.reply
        self.journey.pass_over(Leg.of(decision, outcome.reply, "passed over"), outcome)
        return self._allowed(instead)

    async def _ask(
        self, request: ChatRequest, context: CallContext, inner: str | None
    ) -> Reply | ReplyStream:
        if inner is None:
            return await self._stage.following(request, context)
        trip = _Trip(self._stage, inner, context, (*self._above, self._name))
        try:
            return await trip.go(request)
        except BaseException:
            self.journey.absorb(trip.journey)
            raise

    async def _lose(
        self, decision: Decision, error: ProviderError, ended: list[Outcome], call_id: str
    ) -> None:
        """Write down a leg that failed, with what it was charged."""
        if ended:  # it broke off on its way, and was settled
            self._pass_over_failed(decision, error, ended[0])
            return
        # The legs of a route inside were taken over one by one, with what they were charged.
        billed = error.dispatched and bool(call_id)
        cost = await self._stage.booked(call_id) if billed else 0
        self.journey.legs.append(Leg.lost(decision, error, cost, billed=billed))

    def _pass_over_failed(self, decision: Decision, error: BaseException, outcome: Outcome) -> None:
        leg = Leg.of(decision, outcome.reply, "failed")
        self.journey.pass_over(replace(leg, error=type(error).__name__, billed=True), outcome)

    def _leg_context(self) -> CallContext:
        """Return the context of the next leg: a call of its own, with what its cap still allows."""
        context, legs = self._context, self.journey.legs
        changes: dict[str, Any] = {"span_id": self._span_id}
        if legs:  # two calls of one id would share one hold
            changes["call_id"] = new_id()
            if context.max_usd_nano is not None:
                if any(leg.usd_nano is None for leg in legs):
                    raise LLMOpsError(
                        "What a failed leg cost is not known, so the call's cap cannot be kept",
                        hint="Ask again, or without --max-usd",
                    )
                changes["max_usd_nano"] = max(context.max_usd_nano - self.journey.spent_nano, 0)
        return context.with_(**changes)

    def _ended(self, decision: Decision) -> Callable[[Outcome], Reply]:
        def ended(outcome: Outcome) -> Reply:
            served = self.journey.carried(outcome.reply)
            self.journey.legs.append(Leg.of(decision, outcome.reply))
            facts = {"error": type(outcome.error).__name__} if outcome.error else {}
            self._end(served, _STATUS[outcome.ending], **facts)
            return served

        return ended

    def _end(self, served: Reply | None, status: SpanStatus, **facts: Any) -> None:
        if served is not None or not self._above:  # or the route above takes them over
            for outcome in self.journey.left_behind(served):
                self._stage.passed_over(outcome)
        self._tracer.end(
            self._span_id,
            status,
            attributes={**self.journey.facts(served), **facts},
            output=self.journey.sentence(),
        )


async def _collected(
    reply: Reply | ReplyStream, ended: list[Outcome]
) -> tuple[Outcome, tuple[Chunk, ...] | None]:
    """Read a reply to its end: return how it ended, and the chunks if it came in any.

    Args:
        reply: The reply.
        ended: Gets how it ended, also if reading it fails.
    """
    if isinstance(reply, Reply):
        return Outcome(reply), None
    recorder = Recorder(_MOST_BYTES)
    await reply.observed(ended.append, recorder.watch)
    try:
        final = await reply.collect()
    finally:
        await reply.aclose()
    chunks = recorder.chunks()
    return Outcome(whole(final, chunks or ()), ended[0].ending), chunks


async def _replayed(reply: Reply, chunks: tuple[Chunk, ...] | None) -> ReplyStream:
    """Return a whole reply as the stream it came in."""
    stream = ReplyStream(stream_of(reply, chunks), reply.with_(choices=()))

    def exact(outcome: Outcome) -> Reply:
        # The chunks say less of tokens and dollars than the settled reply.
        return outcome.reply.with_(
            usage=reply.usage,
            cost_nano=reply.cost_nano,
            latency_s=reply.latency_s,
            cached=reply.cached,
            tier=reply.tier,
        )

    return await stream.observed(exact)
