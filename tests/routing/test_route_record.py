"""What routes have done, added up from their spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stub_upstream import RESET, Answer, StubUpstream, completion

from llmops_kernel import Session
from llmops_kernel.calls import ChatRequest
from llmops_kernel.cli._route import explained, reported
from llmops_kernel.errors import BudgetExceeded, UnknownModel, UsageProblem
from llmops_kernel.settings import Cap

Make = Callable[..., Session]
ROUTES = {
    "c": {"kind": "cascade", "models": ["small", "large"], "checks": ["refusal"]},
    "f": {"kind": "fallback", "models": ["small", "large"]},
    "r": {"kind": "rules", "model": "large", "rules": [{"model": "small", "pattern": "card"}]},
}
REFUSAL = Answer(body=completion("I'm sorry, I cannot help with that."))


def ask(session: Session, route: str, text: str = "What is it?", **fields: Any) -> None:
    body = {"model": f"route/{route}", "messages": [{"role": "user", "content": text}], **fields}
    session.call(ChatRequest.from_body(body))


def test_calls_shares_and_dollars(
    make_session: Make, cheap: StubUpstream, prices: tuple[int, int]
) -> None:
    small, large = prices
    session = make_session(routes=ROUTES)
    for _ in range(3):
        ask(session, "c")
    cheap.script(REFUSAL)
    ask(session, "c")
    (use,) = reported(session, "c").uses
    assert (use.calls, use.answered, use.escalated, use.fell_back, use.refused) == (4, 4, 1, 0, 0)
    assert use.share_small == 0.75
    assert use.large == "large"
    assert use.usd_nano == {"real": 4 * small + large}
    # The stub counts the same tokens for every model, so the same call costs ten times as much.
    assert use.large_nano == {"real": 4 * large}
    assert use.saved_nano == {"real": 3 * large - 4 * small}
    assert [(each.model, each.served, each.passed_over) for each in use.models] == [
        ("small", 3, 1), ("large", 1, 0),
    ]  # fmt: skip
    assert use.models[0].usd_nano == {"real": 4 * small}
    # The ledger has the same sum.
    spent = sum(event.spent_nano for event in session.history(100) if event.kind == "settle")
    assert spent == use.usd_nano["real"]


def test_on_either_record(make_session: Make, store_url: str) -> None:
    session = make_session(routes=ROUTES, store=store_url)
    ask(session, "r", "my card")
    ask(session, "r", "my account")
    (use,) = reported(session, "r").uses
    assert (use.calls, use.share_small) == (2, 0.5)


def test_failures_and_what_may_be_billed(make_session: Make, cheap: StubUpstream) -> None:
    session = make_session(routes=ROUTES)
    cheap.script(RESET, Answer(status=503, body={}))
    ask(session, "f")
    ask(session, "f")
    (use,) = reported(session, None).uses
    assert (use.route, use.fell_back, use.may_be_billed) == ("f", 2, 1)
    assert use.models[0].failed == 2


def test_refusals_are_counted(make_session: Make) -> None:
    session = make_session(routes=ROUTES, caps=[Cap(scope="user", window="day", usd=0)])
    with pytest.raises(BudgetExceeded):
        ask(session, "r")
    (use,) = reported(session, "r").uses
    assert (use.calls, use.answered, use.refused, use.share_small) == (1, 0, 1, None)
    assert use.saved_nano == {}


def test_answers_from_the_cache_save_nothing_by_routing(
    make_session: Make, prices: tuple[int, int]
) -> None:
    session = make_session(routes=ROUTES)
    for _ in range(3):
        ask(session, "r", "my card", temperature=0)
    (use,) = reported(session, "r").uses
    assert (use.calls, use.cached) == (3, 2)
    assert use.saved_nano == {"real": prices[1] - prices[0]}


def test_books_stay_apart(make_session: Make) -> None:
    routes = {"s": {"kind": "cascade", "models": ["sim/gpt-4o-mini", "sim/gpt-4o"],
                    "checks": ["length:100000"]}}  # fmt: skip
    session = make_session(routes=routes)
    ask(session, "s")
    (use,) = reported(session, "s").uses
    assert set(use.usd_nano) == {"simulated"}
    assert use.saved_nano["simulated"] < 0  # a cascade that always escalates costs more


def test_quality_where_it_was_judged(make_session: Make) -> None:
    session = make_session(routes=ROUTES)
    ask(session, "r", "my card")
    ask(session, "r", "my account")
    ask(session, "r", "my account")
    session.store.flush()
    first, second, _ = reversed(session.traces(10))
    verdicts = {first.trace_id: 0.5, second.span_id: 1.0, "other": 0.0}
    (use,) = reported(session, "r", verdicts=verdicts).uses
    told = {each.model: (each.quality, each.judged) for each in use.models}
    assert told == {"small": (0.5, 1), "large": (1.0, 1)}


def test_a_route_that_nobody_asked(make_session: Make) -> None:
    session = make_session(routes=ROUTES)
    told = reported(session, "route/r")
    assert told.uses == ()
    assert told.notes == ("Nothing was asked of route/r yet",)
    with pytest.raises(UnknownModel, match="There is no route"):
        reported(session, "rr2")


def test_a_route_that_is_gone_keeps_its_record(make_session: Make) -> None:
    ask(make_session(routes=ROUTES), "r", "my card")
    (use,) = reported(make_session(), None).uses
    assert (use.route, use.calls) == ("r", 1)


TABLE = [{"text": f"my card {n}", "small_ok": n % 2, "large_ok": 1} for n in range(10)] + [
    {"text": f"my account {n}", "small_ok": 0, "large_ok": 1} for n in range(10)
]


def test_rules_held_against_a_table(make_session: Make) -> None:
    told = reported(make_session(routes=ROUTES), "r", given=TABLE).evaluation
    assert told is not None
    assert (told.share_small, told.quality, told.small_quality) == (0.5, 0.75, 0.25)
    assert told.recovered == pytest.approx(2 / 3)
    assert told.area_interval is None
    assert told.frontier.chosen is not None
    assert told.frontier.chosen.large == 0.5


def test_what_no_table_can_tell(make_session: Make) -> None:
    session = make_session(routes=ROUTES)
    with pytest.raises(UsageProblem, match="decides by answers"):
        reported(session, "c", given=TABLE)
    with pytest.raises(UsageProblem, match="one route"):
        reported(session, None, given=TABLE)
    with pytest.raises(UsageProblem, match="what the small model got right"):
        reported(session, "r", given=[{"text": "x", "intent": "y"}])


def test_explaining_calls_nobody(
    make_session: Make, cheap: StubUpstream, dear: StubUpstream
) -> None:
    routes = {**ROUTES, "outer": {"kind": "rules", "model": "route/r"}}
    session = make_session(routes=routes)
    told = explained(session, "route/outer", "my card")
    assert (told.route, told.decision.model) == ("outer", "route/r")
    assert told.then == ("route/r asks small: rule 1: pattern",)
    told = explained(session, "c", "my card")
    assert told.then == ("large where a check does not hold",)
    told = explained(session, "f", "my card")
    assert told.then == ("large where the ones before it fail",)
    assert not cheap.requests
    assert not dear.requests
    with pytest.raises(UnknownModel, match="did you mean 'outer'"):
        explained(session, "outr", "my card")
