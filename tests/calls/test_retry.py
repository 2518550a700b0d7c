"""What is tried again, how long is waited, and what is left alone."""

import asyncio

import pytest
from stub_upstream import RESET, Answer, chunk, completion, stream

from llmops_kernel.calls import CallContext, ChatRequest
from llmops_kernel.calls.retry import RetryStage
from llmops_kernel.errors import (
    AuthMissing,
    BudgetExceeded,
    LoopDetected,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
    RateLimited,
)

REFUSED = BudgetExceeded(
    "The cap is used up",
    scope="user",
    window="day",
    book="real",
    limit=1,
    spent=1,
    held=0,
    needed=1,
)


class Path:
    """The rest of the path: fails in a given order and notes the attempts."""

    def __init__(self, *errors, then=None):
        self.errors = list(errors)
        self.then = then
        self.attempts = []

    async def __call__(self, request, context):
        self.attempts.append(context.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return self.then


class Clock:
    """Sleeps without time passing."""

    def __init__(self):
        self.slept = []

    async def sleep(self, seconds):
        self.slept.append(seconds)


REQUEST = ChatRequest.from_body({"model": "m", "messages": [{"role": "user", "content": "Hi"}]})


def _stage(path, clock, **options):
    return RetryStage(path, sleep=clock.sleep, jitter=lambda: 1.0, **options)


def _failed(status, **more):
    return ProviderError("The provider failed", upstream_status=status, **more)


async def _serve(path, clock, **options):
    return await _stage(path, clock, **options)(REQUEST, CallContext("c"))


@pytest.mark.parametrize(
    "error",
    [
        *(_failed(status) for status in (408, 500, 502, 503, 504, 529)),
        RateLimited("slow down", upstream_status=429, dispatched=False),
        ProviderUnreachable("no network", dispatched=False),
        ProviderTimeout("too slow"),
    ],
)
async def test_repeated(error):
    path, clock = Path(error, error, then="reply"), Clock()
    assert await _serve(path, clock) == "reply"
    assert path.attempts == [1, 2, 3]
    assert clock.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    "error",
    [
        *(_failed(status) for status in (None, 400, 404, 409, 422, 501, 524)),
        _failed(503, should_retry=False),
        RateLimited("slow down", upstream_status=429, should_retry=False),
        RateLimited("slow down", upstream_status=429, retry_after=61.0),
        RateLimited(
            "no money",
            upstream_status=429,
            upstream_body={"error": {"code": "insufficient_quota", "type": ["odd"]}},
        ),
        AuthMissing("no key", upstream_status=None),
        REFUSED,
        LoopDetected("again and again"),
        asyncio.CancelledError(),
        KeyError("a bug"),
    ],
)
async def test_left_alone(error):
    path, clock = Path(error, then="reply"), Clock()
    with pytest.raises(type(error)):
        await _serve(path, clock)
    assert path.attempts == [1]
    assert clock.slept == []


async def test_the_last_error_is_raised():
    path, clock = Path(_failed(503), _failed(502), _failed(500)), Clock()
    with pytest.raises(ProviderError) as caught:
        await _serve(path, clock)
    assert caught.value.upstream_status == 500
    assert path.attempts == [1, 2, 3]


async def test_a_refusal_at_a_later_attempt_ends_it():
    path, clock = Path(_failed(503), REFUSED, then="reply"), Clock()
    with pytest.raises(BudgetExceeded):
        await _serve(path, clock)
    assert path.attempts == [1, 2]


async def test_no_retries_and_many():
    path, clock = Path(_failed(503), then="reply"), Clock()
    with pytest.raises(ProviderError):
        await _serve(path, clock, retries=0)
    path, clock = Path(*[_failed(503)] * 8, then="reply"), Clock()
    assert await _serve(path, clock, retries=10) == "reply"
    assert clock.slept == [0.5, 1, 2, 4, 8, 8, 8, 8]


async def test_retry_after_is_obeyed_within_bounds():
    def limited(seconds):
        return RateLimited("slow down", upstream_status=429, retry_after=seconds)

    path, clock = Path(limited(60.0), limited(0.0), then="reply"), Clock()
    assert await _serve(path, clock) == "reply"
    assert clock.slept == [60.0, 1.0]

    path, clock = Path(*[limited(50.0)] * 5, then="reply"), Clock()
    with pytest.raises(RateLimited):
        await _serve(path, clock, retries=5)
    assert clock.slept == [50.0, 50.0]  # a third wait would pass the bound


async def test_jitter_takes_up_to_half():
    path, clock = Path(_failed(503), then="reply"), Clock()
    await RetryStage(path, sleep=clock.sleep, jitter=lambda: 0.0)(REQUEST, CallContext("c"))
    assert clock.slept == [0.25]


async def test_against_a_server(stub, upstream):
    clock = Clock()
    stage = _stage(upstream, clock, retries=3)
    context = CallContext("c", target=stub.target())
    stub.script(Answer(status=503), Answer(status=429, headers={"Retry-After": "3"}))
    assert (await stage(REQUEST, context)).text == "Answer 1 to: Hi"
    assert len(stub.requests) == 3
    assert clock.slept == [0.5, 3.0]


async def test_a_stream_is_repeated_before_its_first_chunk_only(stub, upstream):
    stage = _stage(upstream, Clock())
    context = CallContext("c", target=stub.target())
    request = REQUEST.with_(stream=True)
    stub.script(Answer(status=500), stream(chunk("a"), done=False, end="reset"))
    opened = await stage(request, context)
    with pytest.raises(ProviderError):
        await opened.collect()
    assert opened.final.text == "a"
    assert len(stub.requests) == 2


async def test_what_may_be_billed_without_an_answer_is_not_repeated(stub, upstream):
    stage = _stage(upstream, Clock())
    stub.script(RESET, Answer(body=completion()))
    with pytest.raises(ProviderError):
        await stage(REQUEST, CallContext("c", target=stub.target()))
    assert len(stub.requests) == 1
