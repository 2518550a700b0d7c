"""Fallbacks: on a provider's failure, never on a refusal, never silently paid twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from stub_upstream import RESET, Answer, StubUpstream, chunk, stream

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest
from llmops_kernel.errors import (
    BudgetExceeded,
    LoopDetected,
    ProviderError,
    SpendingStopped,
    UnknownPrice,
)
from llmops_kernel.settings import Cap

Make = Callable[..., Session]
ROUTES = {"f": {"kind": "fallback", "models": ["small", "large"]}}
REQUEST = ChatRequest.from_body(
    {"model": "route/f", "messages": [{"role": "user", "content": "What is it?"}], "max_tokens": 9}
)
ERROR = {"error": {"message": "no", "type": "x", "code": None, "param": None}}


def legs(session: Session) -> list[dict[str, object]]:
    session.store.flush()
    top = session.trace()
    assert top is not None
    found: list[dict[str, object]] = top.span.attributes["legs"]
    return found


@pytest.mark.parametrize("status", [500, 503, 529, 429, 401, 403, 404, 408, 504])
def test_a_failure_moves_on(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, status: int
) -> None:
    cheap.script(Answer(status=status, body=ERROR))
    session = make_session(routes=ROUTES)
    assert session.call(REQUEST).provider == "dear"
    first, second = legs(session)
    assert (first["model"], first["state"]) == ("small", "failed")
    assert (second["model"], second["state"]) == ("large", "served")
    assert str(second["reason"]).startswith("small failed: ")
    assert (len(cheap.requests), len(dear.requests)) == (1, 1)


def test_only_after_its_retries(make_session: Make, cheap: StubUpstream) -> None:
    cheap.script(*[Answer(status=503, body=ERROR, headers={"retry-after-ms": "1"})] * 3)
    session = make_session(routes=ROUTES, retries=2)
    assert session.call(REQUEST).provider == "dear"
    assert len(cheap.requests) == 3


def test_what_may_be_billed_is_said_and_counted(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(RESET)
    session = make_session(routes=ROUTES)
    reply = session.call(REQUEST)
    first, _ = legs(session)
    held = [event for event in session.history() if event.model == "cheap/stub-1"]
    charged = sum(event.spent_nano for event in held)
    assert charged > 0
    assert (first["billed"], first["usd_nano"]) == (True, charged)
    assert reply.cost_nano == prices[1] + charged
    top = session.trace()
    assert top is not None
    assert top.span.output.endswith("may be billed though it failed: small")


def test_a_cap_of_the_call_counts_what_failed(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    from llmops_kernel.calls.tokens import bound_tokens

    session = make_session(routes=ROUTES)
    target = session.catalog.resolve("large")
    worst = target.price.worst(bound_tokens(REQUEST.with_(model="large"), target.name), 9)
    cheap.script(RESET)
    with pytest.raises(BudgetExceeded):
        session.call(REQUEST, max_usd_nano=worst)
    assert not dear.requests
    cheap.script(Answer(status=503, body=ERROR))  # not billed: all of the cap is left
    assert session.call(REQUEST, max_usd_nano=worst).provider == "dear"


@pytest.mark.parametrize("status", [400, 402, 409, 413, 422])
def test_a_wrong_request_is_wrong_everywhere(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, status: int
) -> None:
    cheap.script(Answer(status=status, body=ERROR))
    session = make_session(routes=ROUTES)
    with pytest.raises(ProviderError):
        session.call(REQUEST)
    assert not dear.requests
    assert [leg["state"] for leg in legs(session)] == ["failed"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "guard_blocked"), (429, "budget_exceeded"), (503, "store_unavailable")],
)
def test_the_refusal_of_another_door_is_ours(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, status: int, code: str
) -> None:
    body = {"error": {**ERROR["error"], "message": f"No. [llmops:{code}]"}}
    cheap.script(Answer(status=status, body=body))
    session = make_session(routes=ROUTES)
    with pytest.raises(ProviderError):
        session.call(REQUEST)
    assert not dear.requests


def test_the_failure_of_another_doors_provider_is_not(
    make_session: Make, cheap: StubUpstream
) -> None:
    body = {"error": {**ERROR["error"], "message": "Late. [llmops:provider_timeout]"}}
    cheap.script(Answer(status=504, body=body))
    assert make_session(routes=ROUTES).call(REQUEST).provider == "dear"


def test_a_cap_never_moves_on(make_session: Make, cheap: StubUpstream, dear: StubUpstream) -> None:
    caps = [Cap(scope="model", key="cheap/stub-1", window="day", usd=0)]
    session = make_session(routes=ROUTES, caps=caps)
    with pytest.raises(BudgetExceeded):
        session.call(REQUEST)
    assert not cheap.requests
    assert not dear.requests
    top = session.trace()
    assert top is not None
    assert top.span.status == "refused"


def test_a_stop_never_moves_on(make_session: Make, cheap: StubUpstream, dear: StubUpstream) -> None:
    session = make_session(routes=ROUTES)
    session.stop_spending("enough")
    with pytest.raises(SpendingStopped):
        session.call(REQUEST)
    assert not dear.requests


def test_the_loop_breaker_never_moves_on(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    session = make_session(routes=ROUTES, breaker={"calls_per_run": 1})
    session.call(REQUEST)
    with pytest.raises(LoopDetected):
        session.call(REQUEST)
    assert not dear.requests


def test_a_model_without_a_price_never_moves_on(make_session: Make, dear: StubUpstream) -> None:
    routes = {"f": {"kind": "fallback", "models": ["sim/no-such-model", "large"]}}
    with pytest.raises(UnknownPrice):
        make_session(routes=routes).call(REQUEST)
    assert not dear.requests


def test_the_last_error_is_the_one_that_is_told(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    cheap.script(Answer(status=503, body=ERROR))
    dear.script(Answer(status=429, body=ERROR))
    session = make_session(routes=ROUTES)
    with pytest.raises(ProviderError, match="rate"):
        session.call(REQUEST)
    assert [leg["state"] for leg in legs(session)] == ["failed", "failed"]
    top = session.trace()
    assert top is not None
    assert top.span.status == "error"


def test_a_stream_moves_on_before_its_first_chunk(make_session: Make, cheap: StubUpstream) -> None:
    cheap.script(Answer(status=503, body=ERROR))
    session = make_session(routes=ROUTES)
    chunks = list(session.stream(REQUEST.with_(stream=True)))
    assert len(chunks) > 5
    assert [leg["state"] for leg in legs(session)] == ["failed", "served"]


def test_a_stream_that_has_begun_does_not(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    cheap.script(stream(chunk("It is"), done=False, end="reset"))
    session = make_session(routes=ROUTES)
    with pytest.raises(ProviderError):
        list(session.stream(REQUEST.with_(stream=True)))
    assert not dear.requests  # half an answer of one model and half of another is none
    top = session.trace()
    assert top is not None
    assert top.span.status == "error"
