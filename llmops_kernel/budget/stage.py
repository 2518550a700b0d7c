"""The stage that reserves before the upstream and settles after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from llmops_kernel.budget.caps import Scopes
from llmops_kernel.budget.ledger import Charge, Hold
from llmops_kernel.budget.reaper import reap
from llmops_kernel.budget.refusals import dollars
from llmops_kernel.errors import BudgetExceeded, LLMOpsError, ProviderError

if TYPE_CHECKING:
    from llmops_kernel.budget.ledger import Ledger
    from llmops_kernel.calls import (
        CallContext,
        Chunk,
        Handler,
        Outcome,
        Reply,
        ReplyStream,
        Request,
        Usage,
    )
    from llmops_kernel.calls.catalog import Target

# Counts below this many tokens are too small to doubt a provider's by.
_SMALL = 64


class Counting(Protocol):
    """How tokens are counted where nobody has told us; the door provides it."""

    def bound(self, request: Request, model: str) -> int:
        """Return an upper bound on the input tokens of a request."""
        ...

    def text(self, text: str) -> int:
        """Return the likely tokens of a text, rather too many than too few."""
        ...

    def conditions(self, request: Request) -> dict[str, Any]:
        """Return what makes a request dearer, as further arguments of `Price.worst`."""
        ...

    def usage(self, request: Request, reply: Reply, model: str) -> Usage:
        """Return the likely usage of a call, marked as estimated."""
        ...


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """What is asked for when the caller set no bound on the output.

    Attributes:
        default: Output tokens to ask for.
        least: Output tokens below which an answer is of no use: the call is refused instead.
    """

    default: int = 1_024
    least: int = 16


class BudgetStage:
    """Holds the worst case of each attempt while it runs, then books what it cost.

    A caller's own bound on the output is never changed: if it does not fit, the call is refused.
    Without one, a bound is put in, so that a worst case always exists.
    """

    def __init__(
        self, following: Handler, *, ledger: Ledger, counting: Counting, limits: OutputLimits
    ) -> None:
        self._next = following
        self.ledger = ledger
        self.counting = counting
        self._arun = ledger.store.arun
        self._limits = limits

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Reserve, pass on, settle. Raises `CallRefused` before anything is spent."""
        target = context.target
        assert target is not None, "the resolving stage comes before this one"
        scopes = scopes_of(context)
        counted = 0 if target.price.free else self.counting.bound(request, target.name)
        request, hold = await self._bound(request, context, target, scopes, counted)
        try:
            reply = await self._next(request, context)
        except BaseException as error:
            self._close_failed(hold, error)
            raise
        meter = _Meter(self, hold, request, target)
        return await reply.observed(meter.settle, None if hold.amount == 0 else meter.watch)

    async def _bound(
        self,
        request: Request,
        context: CallContext,
        target: Target,
        scopes: Scopes,
        counted: int,
    ) -> tuple[Request, Hold]:
        """Return the request, with a bound on its output, and the hold for its worst case."""

        def worst(bounded: Request) -> int:
            dearer = self.counting.conditions(bounded)
            output = (bounded.max_tokens or 0) * bounded.n
            amount = target.price.worst(counted, output, **dearer)
            _check_call_cap(context, amount, target.book)
            return amount

        if request.max_tokens is not None or target.price.free:
            return request, await self._reserve(context, target, scopes, worst(request))
        wanted = self._limits.default
        if target.price.max_output_tokens:
            wanted = min(wanted, target.price.max_output_tokens)
        bounded: Request = request.with_(max_tokens=wanted)
        try:
            hold = await self._reserve(context, target, scopes, worst(bounded), note=False)
        except BudgetExceeded as refusal:
            if refusal.scope == "call":
                raise
            # Nobody asked for that many: ask for what the caps leave.
            bounded = await self._fitted(request, target, scopes, counted, wanted)
            hold = await self._reserve(context, target, scopes, worst(bounded))
        return bounded, hold

    async def _fitted(
        self, request: Request, target: Target, scopes: Scopes, counted: int, wanted: int
    ) -> Request:
        """Return the request with as large a bound on its output as the caps pay for."""
        room = await self._arun(self.ledger.headroom, scopes, target.book)
        if room is not None:
            # Less than the least is refused by the reservation, with the figures of its cap.
            least = min(self._limits.least, wanted)
            dearer = self.counting.conditions(request)
            affordable = _affordable(target, counted, request.n, room, wanted, dearer)
            wanted = max(affordable, least)
        return request.with_(max_tokens=wanted)

    async def _reserve(
        self,
        context: CallContext,
        target: Target,
        scopes: Scopes,
        amount: int,
        *,
        note: bool = True,
    ) -> Hold:
        try:
            return await self._arun(self._reserve_now, context, target, scopes, amount, note)
        except BudgetExceeded as refusal:
            # What a dead kernel holds may be all that is in the way.
            if not refusal.held or not await self._arun(reap, self.ledger):
                raise
            return await self._arun(self._reserve_now, context, target, scopes, amount, note)

    def _reserve_now(
        self, context: CallContext, target: Target, scopes: Scopes, amount: int, note: bool
    ) -> Hold:
        # The request leaves right after this transaction, so the hold is written as dispatched.
        return self.ledger.reserve(
            f"{context.call_id}/{context.attempt}",
            scopes,
            amount=amount,
            book=target.book,
            model=target.name,
            call_id=context.call_id,
            price_version=target.price.version,
            cell_id=context.cell_id,
            seconds=target.timeout_s,
            note=note,
        )

    def _close_failed(self, hold: Hold, error: BaseException) -> None:
        """Book a call that brought no reply: free if nothing was sent, else the worst case."""
        if isinstance(error, ProviderError):
            sent = error.dispatched
        else:  # our own refusals stop a call on this machine; anything else may have been sent
            sent = not isinstance(error, LLMOpsError)
        what = type(error).__name__
        if not sent:
            charge = Charge(0, detail={"released": what})
        else:
            charge = Charge(hold.amount, estimated=True, detail={"uncertain": what})
        self.ledger.settle_soon(hold, charge)

    def charge(
        self, request: Request, target: Target, hold: Hold, outcome: Outcome
    ) -> tuple[Usage, Charge]:
        """Return the tokens and cost of what arrived."""
        usage, doubt = self._usage(request, target, outcome)
        cost = target.price.cost(usage)
        if doubt == "excessive":
            # More than it was allowed to write, and more than there is: not believed, not waved
            # through either.
            cost = max(
                hold.amount,
                target.price.cost(self.counting.usage(request, outcome.reply, target.name)),
            )
        detail: dict[str, object] = {"ending": outcome.ending}
        if doubt:
            detail["usage"] = doubt
        if outcome.reply.latency_s is not None:
            detail["latency_s"] = round(outcome.reply.latency_s, 4)
        return usage, Charge(cost, usage.input_tokens, usage.output_tokens, usage.estimated, detail)

    def _usage(self, request: Request, target: Target, outcome: Outcome) -> tuple[Usage, str]:
        reported = outcome.reply.usage
        if reported is None:
            return self.counting.usage(request, outcome.reply, target.name), "missing"
        text = outcome.reply.output_text()
        # Counting costs more than looking: only what could be wrong is counted.
        if reported.output_tokens * 8 < len(text):
            written = self.counting.text(text)
            if reported.output_tokens * 4 < written and written > _SMALL:
                # Text without tokens: the provider's count is wrong, ours stands in.
                counted = self.counting.usage(request, outcome.reply, target.name)
                return replace(
                    reported,
                    input_tokens=max(reported.input_tokens, counted.input_tokens),
                    output_tokens=counted.output_tokens,
                    estimated=True,
                ), "too small"
        allowed = (request.max_tokens or 0) * request.n
        if allowed and reported.output_tokens > 2 * allowed + _SMALL:
            written = self.counting.text(text)
            if reported.output_tokens > 2 * max(allowed, written) + _SMALL:
                return replace(reported, estimated=True), "excessive"
        return reported, ""


class _Meter:
    """Follows one reply: counts a stream while it flows, and settles at its end."""

    def __init__(self, stage: BudgetStage, hold: Hold, request: Request, target: Target) -> None:
        self._charge = stage.charge
        self._ledger = stage.ledger
        self._counting = stage.counting
        self._hold = hold
        self._request = request
        self._target = target
        self._chunks = 0
        self._size = 0
        self._input: int | None = None

    def watch(self, chunk: Chunk) -> bool:
        """Count a chunk; False when the hold is used up and the stream must be cut."""
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text = delta.get("content") or delta.get("reasoning_content") or ""
            for call in delta.get("tool_calls") or ():
                text += (call.get("function") or {}).get("arguments") or ""
            if text:
                self._chunks += 1
                self._size += len(text.encode())
        if not self._chunks:
            return True
        if self._input is None:
            self._input = self._counting.bound(self._request, self._target.name)
        # Rather a little late than too early: a provider that keeps to the bound is never cut.
        counted = max(self._chunks, self._size // 5)
        allowed = (self._request.max_tokens or 0) * self._request.n
        if counted <= allowed:
            return True
        dearer = self._counting.conditions(self._request)
        return self._target.price.worst(self._input, counted, **dearer) <= self._hold.amount

    def settle(self, outcome: Outcome) -> Reply:
        """Book the outcome and write the figures into the reply."""
        usage, charge = self._charge(self._request, self._target, self._hold, outcome)
        self._ledger.settle_soon(self._hold, charge)
        return outcome.reply.with_(usage=usage, cost_nano=charge.nano)


def scopes_of(context: CallContext) -> Scopes:
    """Return what caps are matched against."""
    target = context.target
    return Scopes(
        context.user,
        context.project,
        context.notebook,
        context.run_id,
        context.tenant,
        target.model if target else "",
        target.name if target else "",
    )


def _affordable(
    target: Target, counted: int, n: int, room: int, wanted: int, dearer: dict[str, Any]
) -> int:
    """Return the output tokens per choice that ``room`` nano-dollars pay for, up to ``wanted``."""

    def fits(tokens: int) -> bool:
        return target.price.worst(counted, tokens * n, **dearer) <= room

    if fits(wanted):
        return wanted
    # The worst case grows with the tokens: look for the largest that fits.
    low, high = 0, wanted
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _check_call_cap(context: CallContext, amount: int, book: str) -> None:
    if context.max_usd_nano is None or amount <= context.max_usd_nano:
        return
    raise BudgetExceeded(
        "This call could cost more than it was allowed to",
        scope="call",
        window="total",
        book=book,
        limit=context.max_usd_nano,
        spent=0,
        held=0,
        needed=amount,
        detail=f"worst case {dollars(amount)}, allowed {dollars(context.max_usd_nano)}",
        hint="Raise --max-usd, or lower --max-tokens",
    )
