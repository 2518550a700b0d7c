"""Calls to routes on the whole path: legs, spans, money, tools."""

from __future__ import annotations

import pytest
from route_desk import (
    CASCADE,
    REFUSAL,
    RULES,
    Make,
    body,
    route_span,
    worst_of,
)
from stub_upstream import Answer, StubUpstream, completion

from llmops_kernel.errors import BudgetExceeded
from llmops_kernel.settings import Cap


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
    bound = worst_of(session, request)
    with pytest.raises(BudgetExceeded):
        session.call(request, max_usd_nano=bound)
    assert len(dear.requests) == 1


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
