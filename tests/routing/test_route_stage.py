"""Calls to routes on the whole path: legs, spans, money, streams, tools, names."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from stub_upstream import Answer, StubUpstream, chunk, completion, stream, usage_chunk

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest, EmbeddingRequest
from llmops_kernel.errors import BadRequest, BudgetExceeded, SettingsError, UnknownModel
from llmops_kernel.settings import Cap
from llmops_kernel.trace import SpanNode

Make = Callable[..., Session]
CASCADE = {"kind": "cascade", "models": ["small", "large"], "checks": ["refusal", "length:5"]}
RULES = {
    "kind": "rules",
    "model": "large",
    "rules": [{"model": "small", "max_tokens": 20, "tools": False}],
}
REFUSAL = "I'm sorry, I cannot help with that."
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def body(model: str, text: str = "What is it?", **fields: Any) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    return ChatRequest.from_body({"model": model, "messages": messages, **fields})


def route_span(session: Session) -> SpanNode:
    session.store.flush()
    top = session.trace()
    assert top is not None
    assert top.span.name.startswith("route ")
    return top


def streamed(session: Session, request: ChatRequest) -> tuple[str, list[Any]]:
    chunks = list(session.stream(request))
    text = "".join(
        (choice.get("delta") or {}).get("content") or ""
        for each in chunks
        for choice in each.get("choices") or ()
    )
    return text, chunks


def test_each_leg_is_a_call_of_its_own(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, prices: tuple[int, int]
) -> None:
    session = make_session(routes={"r": RULES})
    reply = session.call(body("route/r"))
    assert (reply.provider, reply.cost_nano) == ("cheap", prices[0])
    assert (len(cheap.requests), len(dear.requests)) == (1, 0)
    assert cheap.requests[0].body["model"] == "stub-1"
    top = route_span(session)
    assert (top.span.kind, top.span.status, top.span.input) == ("tool", "ok", "")
    assert top.span.attributes["chosen"] == "small"
    assert top.span.output == "small (rule 1: no tools, at most 20 tokens)"
    (leg,) = top.children
    assert leg.span.name == "chat small"
    assert leg.span.attributes["usd_nano"] == prices[0]
    events = [event for event in session.history() if event.kind == "settle"]
    assert [(each.model, each.spent_nano) for each in events] == [("cheap/stub-1", prices[0])]


def test_other_models_pass_without_a_span(make_session: Make) -> None:
    session = make_session(routes={"r": RULES})
    session.call(body("small"))
    top = session.trace()
    assert top is not None
    assert top.span.name == "chat small"


def test_an_alias_may_name_a_route(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(
        routes={"r": RULES},
        aliases={"small": "cheap/stub-1", "large": "dear/stub-1", "best": "route/r"},
    )
    assert session.call(body("best")).provider == "cheap"
    assert "route/r" in session.models()


def test_both_legs_of_a_cascade_are_paid_and_shown(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(Answer(body=completion(REFUSAL)))
    session = make_session(routes={"c": CASCADE})
    reply = session.call(body("route/c"))
    assert (reply.provider, reply.cost_nano) == ("dear", sum(prices))
    assert reply.text == "Answer 1 to: What is it?"
    top = route_span(session)
    legs = top.span.attributes["legs"]
    assert [(leg["model"], leg["state"], leg["usd_nano"]) for leg in legs] == [
        ("small", "passed over", prices[0]),
        ("large", "served", prices[1]),
    ]
    assert legs[1]["reason"] == "small: the answer is a refusal"
    assert top.span.attributes["usd_nano"] == sum(prices)
    assert [child.span.name for child in top.children] == ["chat small", "chat large"]
    spent = [event.spent_nano for event in session.history() if event.kind == "settle"]
    assert sorted(spent) == sorted(prices)


def test_a_cell_counts_every_leg_once(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(Answer(body=completion(REFUSAL)))
    session = make_session(routes={"c": CASCADE})
    session.begin_cell("one")
    session.call(body("route/c"))
    cost = session.end_cell()
    assert (cost.calls, cost.real_nano) == (2, sum(prices))
    assert (cost.input_tokens, cost.output_tokens) == (14, 6)


def test_books_are_never_added_together(make_session: Make, prices: tuple[int, int]) -> None:
    routes = {"c": {"kind": "cascade", "models": ["sim/gpt-4o-mini", "large"],
                    "checks": ["length:100000"]}}  # fmt: skip
    session = make_session(routes=routes)
    session.begin_cell("one")
    reply = session.call(body("route/c"))
    assert (reply.simulated, reply.cost_nano) == (False, prices[1])
    cost = session.end_cell()
    assert cost.real_nano == prices[1]
    assert cost.simulated_nano > 0
    assert cost.calls == 2


def test_a_checked_stream_is_the_one_that_came(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(routes={"c": CASCADE})
    text, chunks = streamed(session, body("route/c", stream=True))
    direct, expected = streamed(session, body("small", stream=True))
    assert text == direct == "Answer 1 to: What is it?"
    assert chunks == expected
    assert len(chunks) > 5
    assert route_span_before(session).span.attributes["chosen"] == "small"


def route_span_before(session: Session) -> SpanNode:
    session.store.flush()
    found = [each for each in session.traces() if each.name.startswith("route ")]
    top = session.trace(found[0].trace_id)
    assert top is not None
    return top


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


def test_a_cap_of_the_call_bounds_all_legs_together(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, prices: tuple[int, int]
) -> None:
    session = make_session(routes={"c": CASCADE})
    request = body("route/c", max_tokens=3)
    cheap.script(Answer(body=completion(REFUSAL)))
    # The worst case of either leg fits, and that of both does not.
    worst = 200 * 10_000 + 3 * 20_000
    session.call(request, max_usd_nano=worst)
    assert len(dear.requests) == 1
    cheap.script(Answer(body=completion(REFUSAL)))
    bound = _worst(session, request)
    with pytest.raises(BudgetExceeded):
        session.call(request, max_usd_nano=bound)
    assert len(dear.requests) == 1


def _worst(session: Session, request: ChatRequest) -> int:
    """Return the largest worst case of a leg alone."""
    from llmops_kernel.calls.tokens import bound_tokens

    target = session.catalog.resolve("large")
    return target.price.worst(bound_tokens(request.with_(model="large"), target.name), 3)


def test_a_refusal_of_the_dear_leg_is_not_hidden(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(Answer(body=completion(REFUSAL)))
    session = make_session(
        routes={"c": CASCADE}, caps=[Cap(scope="model", key="dear/stub-1", window="day", usd=0)]
    )
    session.begin_cell("one")
    with pytest.raises(BudgetExceeded):
        session.call(body("route/c"))
    assert not dear.requests
    assert session.end_cell(ok=False).real_nano == prices[0]
    session.store.flush()
    top = session.trace()
    assert top is not None
    route = next(each for each in top.children if each.span.name == "route c")
    assert route.span.status == "refused"
    assert [leg["state"] for leg in route.span.attributes["legs"]] == ["passed over"]


def test_a_cached_leg_is_served_from_the_cache(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, prices: tuple[int, int]
) -> None:
    session = make_session(routes={"c": CASCADE})
    cheap.script(Answer(body=completion(REFUSAL)))
    first = session.call(body("route/c", temperature=0))
    again = session.call(body("route/c", temperature=0))
    assert (first.cost_nano, again.cost_nano) == (sum(prices), 0)
    assert again.cached
    assert again.text == first.text
    assert (len(cheap.requests), len(dear.requests)) == (1, 1)


def test_a_route_may_lead_to_another(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(Answer(body=completion(REFUSAL)))
    outer = {"kind": "rules", "model": "route/c"}
    session = make_session(routes={"c": CASCADE, "outer": outer})
    reply = session.call(body("route/outer"))
    assert reply.cost_nano == sum(prices)
    top = route_span(session)
    assert top.span.name == "route outer"
    (inner,) = top.children
    assert inner.span.name == "route c"
    assert [child.span.name for child in inner.children] == ["chat small", "chat large"]


def test_a_circle_is_refused_before_anything_is_spent(
    make_session: Make, cheap: StubUpstream
) -> None:
    routes = {
        "a": {"kind": "cascade", "models": ["small", "route/b"]},
        "b": {"kind": "fallback", "models": ["large", "again"]},
    }
    session = make_session(
        routes=routes,
        aliases={"small": "cheap/stub-1", "large": "dear/stub-1", "again": "route/a"},
    )
    with pytest.raises(SettingsError, match="circle") as caught:
        session.call(body("route/a"))
    assert caught.value.detail == "a → b → a"
    assert not cheap.requests


@pytest.mark.parametrize("name", ["route/supporT", "route/suport"])
def test_an_unknown_route_names_the_nearest(make_session: Make, name: str) -> None:
    session = make_session(routes={"support": RULES})
    with pytest.raises(UnknownModel, match="did you mean 'support'"):
        session.call(body(name))


@pytest.mark.parametrize("name", ["route/", "route/../../etc/passwd", "route/a b", "route/.x"])
def test_names_that_no_route_can_have(make_session: Make, name: str) -> None:
    with pytest.raises(UnknownModel, match="There is no route"):
        make_session().call(body(name))


def test_a_name_in_the_settings_is_checked(make_session: Make) -> None:
    with pytest.raises(SettingsError, match="cannot be the name"):
        make_session(routes={"../up": RULES})


def test_embeddings_have_no_route(make_session: Make) -> None:
    session = make_session(routes={"r": RULES})
    with pytest.raises(BadRequest, match="chat completions only"):
        session.call(EmbeddingRequest("route/r", "text"))


def test_a_price_is_not_asked_of_a_route(make_session: Make) -> None:
    with pytest.raises(UnknownModel, match="is a route"):
        make_session(routes={"r": RULES}).catalog.resolve("route/r")


def test_over_http(make_session: Make, cheap: StubUpstream, prices: tuple[int, int]) -> None:
    import openai

    cheap.script(Answer(body=completion(REFUSAL)))
    session = make_session(routes={"c": CASCADE})
    info = session.endpoint()
    with openai.OpenAI(base_url=info.base_url, api_key=info.key(), max_retries=0) as client:
        assert "route/c" in [model.id for model in client.models.list()]
        said = client.chat.completions.create(
            model="route/c", messages=[{"role": "user", "content": "What is it?"}]
        )
        assert said.choices[0].message.content == "Answer 1 to: What is it?"
        assert said.model_extra is not None
        assert said.model_extra["llmops"]["usd_nano"] == sum(prices)
        with pytest.raises(openai.NotFoundError, match="There is no route"):
            client.chat.completions.create(
                model="route/x", messages=[{"role": "user", "content": "?"}]
            )


NESTED = {
    "inner": {"kind": "cascade", "models": ["small", "middle"], "checks": ["refusal"]},
    "outer": {"kind": "fallback", "models": ["route/inner", "large"]},
}
NESTED_ALIASES = {"small": "cheap/stub-1", "middle": "cheap/stub-2", "large": "dear/stub-1"}
NESTED_PRICES = {
    "cheap/stub-1": {"input": 1, "output": 2},
    "cheap/stub-2": {"input": 1, "output": 2},
    "dear/stub-1": {"input": 10, "output": 20},
}


def nested(make_session: Make) -> Session:
    return make_session(routes=NESTED, aliases=NESTED_ALIASES, prices=NESTED_PRICES)


def test_what_a_route_inside_has_spent_is_carried_out_of_it(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    cheap.script(Answer(body=completion(REFUSAL)), Answer(status=503, body={}))
    session = nested(make_session)
    session.begin_cell("one")
    reply = session.call(body("route/outer"))
    assert (reply.provider, reply.cost_nano) == ("dear", sum(prices))
    cost = session.end_cell()
    assert (cost.calls, cost.real_nano) == (2, sum(prices))
    spent = sum(event.spent_nano for event in session.history())
    assert spent == sum(prices)


def test_a_cap_counts_what_a_route_inside_has_spent(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream, prices: tuple[int, int]
) -> None:
    session = nested(make_session)
    request = body("route/outer", max_tokens=3)
    worst = _worst(session, request)
    cheap.script(Answer(body=completion(REFUSAL)), Answer(status=503, body={}))
    session.begin_cell("one")
    with pytest.raises(BudgetExceeded):
        session.call(request, max_usd_nano=worst)
    assert not dear.requests
    assert session.end_cell(ok=False).real_nano == prices[0]
    cheap.script(Answer(body=completion(REFUSAL)), Answer(status=503, body={}))
    assert session.call(request, max_usd_nano=worst + prices[0]).provider == "dear"


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
