"""Routes and streams: what was checked is what comes, and whoever leaves ends it."""

from __future__ import annotations

import json

import pytest
from route_desk import (
    CASCADE,
    REFUSAL,
    RULES,
    TOOL,
    Make,
    body,
    route_span_before,
    streamed,
)
from stub_upstream import StubUpstream, chunk, stream, usage_chunk


def test_a_checked_stream_is_the_one_that_came(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(routes={"c": CASCADE})
    text, chunks = streamed(session, body("route/c", stream=True))
    direct, expected = streamed(session, body("small", stream=True))
    assert text == direct == "Answer 1 to: What is it?"
    assert chunks == expected
    assert len(chunks) > 5
    assert route_span_before(session).span.attributes["chosen"] == "small"


def test_an_escalated_leg_streams_and_carries_the_sum(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(stream(chunk(REFUSAL), chunk(None, "stop"), usage_chunk()))
    session = make_session(routes={"c": CASCADE})
    session.begin_cell("one")
    text, _ = streamed(session, body("route/c", stream=True))
    assert text == "Answer 1 to: What is it?"
    cost = session.end_cell()
    assert (cost.calls, cost.real_nano) == (2, sum(prices))
    session.store.flush()
    top = session.trace()
    assert top is not None
    (route,) = (each for each in top.children if each.span.name == "route c")
    assert route.span.attributes["usd_nano"] == sum(prices)


def test_a_stream_that_breaks_off_is_escalated(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    cheap.script(stream(chunk("It is"), done=False, end="reset"))
    session = make_session(routes={"c": CASCADE})
    text, _ = streamed(session, body("route/c", stream=True))
    assert text == "Answer 1 to: What is it?"
    legs = route_span_before(session).span.attributes["legs"]
    assert [leg["state"] for leg in legs] == ["failed", "served"]
    assert legs[0]["billed"] is True


def test_leaving_a_stream_ends_the_route(make_session: Make) -> None:
    session = make_session(routes={"r": RULES})
    chunks = session.stream(body("route/r", stream=True))
    next(chunks)
    chunks.close()
    assert route_span_before(session).span.status == "cancelled"


def test_tool_calls_pass_whole(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(routes={"c": CASCADE})
    reply = session.call(body("route/c", tools=[TOOL]))
    assert reply.provider == "cheap"
    assert reply.finish_reason == "tool_calls"
    assert json.loads(reply.tool_calls[0]["function"]["arguments"]) == {"a": 2, "b": 3}
    assert cheap.requests[0].body["tools"] == [TOOL]
    _, chunks = streamed(session, body("route/c", tools=[TOOL], stream=True))
    _, expected = streamed(session, body("small", tools=[TOOL], stream=True))
    assert chunks == expected


def test_what_a_stream_cost_before_it_broke_off_is_carried(
    make_session: Make, cheap: StubUpstream
) -> None:
    cheap.script(stream(chunk("It is"), done=False, end="reset"))
    session = make_session(routes={"c": CASCADE})
    session.begin_cell("one")
    streamed(session, body("route/c", stream=True))
    cost = session.end_cell()
    session.store.flush()
    spent = sum(event.spent_nano for event in session.history())
    assert cost.real_nano == spent
    assert cost.calls == 2


def test_leaving_while_an_answer_is_checked_settles_it(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    cheap.script(stream(*[chunk("It is ")] * 20, done=False, end="hang"))
    session = make_session(routes={"c": CASCADE})
    session.begin_cell("one")
    request = body("route/c", stream=True)
    with pytest.raises(TimeoutError):
        session._loop.run(session.acall(request, session.context()), timeout=1.0)
    assert cheap.left.wait(5)
    cost = session.end_cell(ok=False)
    session.store.flush()
    spent = sum(event.spent_nano for event in session.history())
    assert spent > 0
    assert (cost.calls, cost.real_nano) == (1, spent)
    assert not dear.requests
    (top,) = (each for each in session.traces() if each.name == "cell")
    found = session.trace(top.trace_id)
    assert found is not None
    (route,) = found.children
    assert route.span.status == "cancelled"
