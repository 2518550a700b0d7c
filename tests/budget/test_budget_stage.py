from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest

from llmops_kernel.budget import BudgetStage, Ledger, OutputLimits, Scopes, audit, control, nano
from llmops_kernel.budget.stage import scopes_of
from llmops_kernel.calls import CallContext, ChatRequest, Reply, ReplyStream, Usage
from llmops_kernel.calls.catalog import Target
from llmops_kernel.errors import (
    BudgetExceeded,
    ProviderError,
    ProviderUnreachable,
    RateLimited,
    UnknownModel,
)
from llmops_kernel.store import Store

Make = Callable[..., Ledger]


@dataclass(frozen=True)
class FlatPrice:
    """1,000 nano-dollars an input token, 4,000 an output token."""

    version: str = "test 1"
    free: bool = False
    max_output_tokens: int | None = 500

    def cost(self, usage: Usage) -> int:
        return 0 if self.free else usage.input_tokens * 1_000 + usage.output_tokens * 4_000

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        return 0 if self.free else input_tokens * 1_000 + output_tokens * 4_000


class WordCounting:
    """A token is a word; the bound doubles the count."""

    def bound(self, request: Any, model: str) -> int:
        return 2 * len(request.text.split())

    def conditions(self, request: Any) -> dict[str, Any]:
        return {}

    def text(self, text: str) -> int:
        return len(text.split())

    def usage(self, request: Any, reply: Reply, model: str) -> Usage:
        return Usage(len(request.text.split()), self.text(reply.output_text()), estimated=True)


TARGET = Target("openai/gpt-4o", "openai", "gpt-4o", FlatPrice())
CONTEXT = CallContext("call", user="ann", run_id="r", target=TARGET)
REQUEST = ChatRequest("gpt-4o", ({"role": "user", "content": "one two three four"},))
WORST_INPUT = 8 * 1_000


def whole(text: str = "yes", usage: Usage | None = None) -> Reply:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return Reply("r1", "gpt-4o", 1, (choice,), usage)


def streamed(words: list[str], *, usage: Any = None, fail: Exception | None = None,
             finish: bool = True) -> ReplyStream:  # fmt: skip
    async def chunks() -> AsyncIterator[dict[str, Any]]:
        for word in words:
            yield {"choices": [{"index": 0, "delta": {"content": word + " "}}]}
        if fail is not None:
            raise fail
        if finish:
            yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
            if usage:
                yield {"choices": [], "usage": usage}

    return ReplyStream(chunks(), Reply("s1", "gpt-4o", 1, ()))


class Upstream:
    """Answers with what a function makes of the request, and remembers the requests."""

    def __init__(self, answer: Callable[[ChatRequest], Any]) -> None:
        self.answer = answer
        self.requests: list[ChatRequest] = []

    async def __call__(self, request: Any, context: CallContext) -> Any:
        self.requests.append(request)
        result = self.answer(request)
        if isinstance(result, BaseException):
            raise result
        return await result if asyncio.iscoroutine(result) else result


def books(ledger: Ledger) -> tuple[int, int]:
    """Spent and held nano-dollars of ann's day."""
    status = control.statuses(ledger, Scopes("ann", "", "", "r", "default"))[0]
    return nano(status.spent), nano(status.held)


def stage(ledger: Ledger, answer: Callable[[ChatRequest], Any], **limits: int) -> Any:
    upstream = Upstream(answer)
    built = BudgetStage(
        upstream, ledger=ledger, counting=WordCounting(), limits=OutputLimits(**limits)
    )
    built.upstream = upstream  # type: ignore[attr-defined]
    return built


async def test_settles_at_the_reported_usage(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    reply = await stage(ledger, lambda r: whole(usage=Usage(4, 2)))(REQUEST, CONTEXT)
    assert reply.cost_nano == 4 * 1_000 + 2 * 4_000
    assert books(ledger) == (reply.cost_nano, 0)


async def test_holds_the_worst_case_while_the_call_runs(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    seen: list[tuple[int, int]] = []

    def answer(request: ChatRequest) -> Reply:
        seen.append(books(ledger))
        return whole(usage=Usage(1, 1))

    await stage(ledger, answer)(REQUEST.with_(max_tokens=10, n=3), CONTEXT)
    assert seen == [(0, WORST_INPUT + 3 * 10 * 4_000)]


async def test_a_bound_is_put_in_where_there_was_none(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    built = stage(ledger, lambda r: whole(usage=Usage(1, 1)), default=1_000)
    await built(REQUEST, CONTEXT)
    assert built.upstream.requests[0].max_tokens == 500, "the model's maximum"
    small = make_ledger(("run", "total", str(Decimal(WORST_INPUT + 100 * 4_000) / 10**9)))
    built = stage(small, lambda r: whole(usage=Usage(1, 1)), default=1_000)
    await built(REQUEST.with_(n=2), CONTEXT)
    assert built.upstream.requests[0].max_tokens == 50, "what the cap leaves, for two choices"


async def test_less_than_a_useful_answer_is_refused(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", str(Decimal(WORST_INPUT + 15 * 4_000) / 10**9)))
    built = stage(ledger, lambda r: whole(), default=1_000, least=16)
    with pytest.raises(BudgetExceeded):
        await built(REQUEST, CONTEXT)
    assert built.upstream.requests == []


async def test_the_callers_own_bound_is_never_shrunk(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "0.0005"))
    built = stage(ledger, lambda r: whole())
    with pytest.raises(BudgetExceeded):
        await built(REQUEST.with_(max_tokens=1_000), CONTEXT)
    assert built.upstream.requests == []


async def test_a_free_model_passes_an_empty_cap_without_a_bound(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "0"))
    built = stage(ledger, lambda r: whole(usage=Usage(5, 5)))
    free = CONTEXT.with_(target=replace(TARGET, price=FlatPrice(free=True)))
    assert (await built(REQUEST, free)).cost_nano == 0
    assert built.upstream.requests[0].max_tokens is None
    assert control.history(ledger, 1, None)[0].kind == "settle"


async def test_missing_usage_is_counted_and_marked(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    reply = await stage(ledger, lambda r: whole("a b c"))(REQUEST, CONTEXT)
    assert reply.usage == Usage(4, 3, estimated=True)
    event = control.history(ledger, 1, None)[0]
    assert (event.estimated, event.detail["usage"]) == (True, "missing")


async def test_usage_that_is_too_small_is_not_believed(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    reply = await stage(ledger, lambda r: whole("w " * 100, Usage(4, 0)))(REQUEST, CONTEXT)
    assert (reply.usage.output_tokens, reply.usage.estimated) == (100, True)


async def test_usage_beyond_all_bounds_is_charged_at_the_hold(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    request = REQUEST.with_(max_tokens=100)
    reply = await stage(ledger, lambda r: whole("a b", Usage(4, 10**9)))(request, CONTEXT)
    assert reply.cost_nano == WORST_INPUT + 100 * 4_000
    assert books(ledger) == (reply.cost_nano, 0)


@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (ProviderUnreachable("no route", dispatched=False), False),
        (RateLimited("slow down", dispatched=False), False),
        (UnknownModel("no such model"), False),
        (ProviderError("reset after it was sent"), True),
        (RuntimeError("a bug"), True),
        (asyncio.CancelledError(), True),
    ],
)
async def test_failures_are_charged_only_if_they_may_be_billed(
    make_ledger: Make, store: Store, error: BaseException, charged: bool
) -> None:
    ledger = make_ledger(("user", "day", "1"))
    with pytest.raises(type(error)):
        await stage(ledger, lambda r: error)(REQUEST.with_(max_tokens=10), CONTEXT)
    assert books(ledger) == (WORST_INPUT + 10 * 4_000 if charged else 0, 0)
    assert audit(store) == []


async def test_a_stream_settles_at_its_usage(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    usage = {"prompt_tokens": 4, "completion_tokens": 3}
    stream = await stage(ledger, lambda r: streamed(["a", "b", "c"], usage=usage))(
        REQUEST.with_(stream=True), CONTEXT
    )
    assert books(ledger)[1] > 0
    reply = await stream.collect()
    assert (reply.text, reply.cost_nano) == ("a b c ", 4_000 + 3 * 4_000)
    assert books(ledger) == (reply.cost_nano, 0)


@pytest.mark.parametrize("how", ["truncated", "broken", "left"])
async def test_a_stream_that_ends_early_settles_on_what_arrived(
    make_ledger: Make, store: Store, how: str
) -> None:
    ledger = make_ledger(("user", "day", "1"))
    fail = ProviderError("reset") if how == "broken" else None
    stream = await stage(ledger, lambda r: streamed(["a", "b"], fail=fail, finish=how == "left"))(
        REQUEST.with_(stream=True), CONTEXT
    )
    if how == "left":
        await stream.__anext__()
        await stream.__anext__()
        await stream.aclose()
    elif how == "broken":
        with pytest.raises(ProviderError):
            await stream.collect()
    else:
        await stream.collect()
    assert books(ledger) == (4 * 1_000 + 2 * 4_000, 0)
    event = control.history(ledger, 1, None)[0]
    assert event.estimated
    assert event.detail["ending"] == ("cancelled" if how == "left" else "truncated")
    assert audit(store) == []


async def test_a_stream_that_ignores_its_bound_is_cut_at_the_hold(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    request = REQUEST.with_(stream=True, max_tokens=10)
    stream = await stage(ledger, lambda r: streamed(["w"] * 10_000))(request, CONTEXT)
    reply = await stream.collect()
    hold = WORST_INPUT + 10 * 4_000
    assert reply.cost_nano <= hold
    assert 10 <= len(reply.text.split()) <= 11
    assert control.history(ledger, 1, None)[0].detail["ending"] == "cut"


async def test_a_cap_for_one_call(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    built = stage(ledger, lambda r: whole(usage=Usage(1, 1)))
    tight = CONTEXT.with_(max_usd_nano=WORST_INPUT)
    with pytest.raises(BudgetExceeded, match="than it was allowed"):
        await built(REQUEST.with_(max_tokens=1), tight)
    assert books(ledger) == (0, 0)


async def test_cancelling_while_waiting_settles_the_hold(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "1"))

    async def forever() -> Reply:
        await asyncio.sleep(60)
        raise AssertionError

    task = asyncio.create_task(
        stage(ledger, lambda r: forever())(REQUEST.with_(max_tokens=10), CONTEXT)
    )
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if books(ledger)[1] == 0:
            break
        await asyncio.sleep(0.02)
    assert books(ledger) == (WORST_INPUT + 10 * 4_000, 0)
    assert audit(store) == []


async def test_many_at_once_never_pass_the_cap(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "0.001"))

    async def slow(request: ChatRequest) -> Reply:
        await asyncio.sleep(0.01)
        return whole(usage=Usage(4, 5))

    built = stage(ledger, slow)
    results = await asyncio.gather(
        *(
            built(REQUEST.with_(max_tokens=10), CONTEXT.with_(call_id=f"c{number}"))
            for number in range(60)
        ),
        return_exceptions=True,
    )
    served = [r for r in results if isinstance(r, Reply)]
    assert all(isinstance(r, Reply | BudgetExceeded) for r in results)
    # At least those that fit at their worst case; early settlements make room for more.
    assert len(served) >= 1_000_000 // (WORST_INPUT + 10 * 4_000)
    spent = sum(r.cost_nano for r in served)
    assert books(ledger) == (spent, 0)
    assert spent <= 1_000_000


def test_scopes_carry_the_model_under_both_names() -> None:
    scopes = scopes_of(CONTEXT)
    assert (scopes.model, scopes.model_name) == ("gpt-4o", "openai/gpt-4o")
