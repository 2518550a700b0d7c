"""Names of routes: found, refused, led in circles."""

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

from llmops_kernel import Session
from llmops_kernel.calls import EmbeddingRequest
from llmops_kernel.errors import BadRequest, BudgetExceeded, SettingsError, UnknownModel


def test_an_alias_may_name_a_route(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(
        routes={"r": RULES},
        aliases={"small": "cheap/stub-1", "large": "dear/stub-1", "best": "route/r"},
    )
    assert session.call(body("best")).provider == "cheap"
    assert "route/r" in session.models()


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
    worst = worst_of(session, request)
    cheap.script(Answer(body=completion(REFUSAL)), Answer(status=503, body={}))
    session.begin_cell("one")
    with pytest.raises(BudgetExceeded):
        session.call(request, max_usd_nano=worst)
    assert not dear.requests
    assert session.end_cell(ok=False).real_nano == prices[0]
    cheap.script(Answer(body=completion(REFUSAL)), Answer(status=503, body={}))
    assert session.call(request, max_usd_nano=worst + prices[0]).provider == "dear"
