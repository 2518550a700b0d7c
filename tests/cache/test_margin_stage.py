"""The margin tier in the path: off until there is evidence, then re-wordings; off when it errs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from margin_desk import TOPIC, WORDINGS, Make, TopicUpstream, ask, lessons, new, teach

from llmops_kernel.budget import audit
from llmops_kernel.cache import caching
from llmops_kernel.cache.semantic.margin import State

UPSTREAM = TopicUpstream


def test_it_is_off_unless_asked_for(make_session: Make) -> None:
    session = make_session()
    for text in lessons(3):
        assert not ask(session, text).cached
    assert session.cache._margin is None
    assert session.store.read("SELECT * FROM cache_vector") == []


def test_nothing_is_served_before_there_is_evidence(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    texts = lessons(4)
    assert not any(ask(session, text).cached for text in texts)
    session.cache.margin.finish()
    assert not ask(session, new()).cached
    (loaded,) = session.cache.margin._workshop.loaded.values()
    assert loaded.tier.state is State.NOT_ENOUGH


def test_a_rewording_is_served_once_there_is_evidence(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    teach(session)
    before = len(upstream.requests)
    reply = ask(session, new())
    assert (reply.tier, reply.cached, reply.cost_nano) == ("margin", True, 0)
    assert reply.text == "The answer about block"
    assert len(upstream.requests) == before
    stats = session.cache.stats()
    hits = [each for each in session.cache.audit(tenant="default").hits if each.tier == "margin"]
    assert stats.tiers["margin"] == len(hits)
    assert (hits[0].asked, TOPIC[hits[0].stored]) == (new(), "block")
    assert all(TOPIC[hit.stored] == TOPIC[hit.asked] for hit in hits)
    assert audit(session.store) == []
    # What is served is not kept under its own words: nothing leads from it to a third text.
    assert stats.entries == stats.misses == len(lessons()) + 1 - len(hits)


def test_another_kernel_serves_what_this_one_learnt(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    first = open_bank()
    teach(first)
    first.close()
    other = open_bank()
    assert ask(other, new()).tier == "margin"
    third = open_bank()
    teach(other, ["Where do I block a card that is gone?"])
    assert ask(third, WORDINGS["block"][9]).tier == "margin"


@pytest.mark.parametrize(
    "change",
    [
        {"context": {"tenant": "other"}},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": new()}]},
        {"max_tokens": 5},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"seed": 3},
        {"n": 2},
        {"temperature": 0.5},
        {"context": {"purpose": "judge"}},
    ],
    ids=str,
)
def test_everything_else_must_agree(
    open_bank: Make, upstream: TopicUpstream, change: dict[str, Any]
) -> None:
    session = open_bank()
    teach(session)
    assert ask(session, new()).tier == "margin"
    assert not ask(session, new(), **change).cached


@pytest.mark.parametrize(
    "text",
    [
        "How can I put a freeze on my 2 cards?",
        "How can I not put a freeze on my card?",
        "How can I put a freeze on my Visa card?",
        "How can I put a freeze on my card in Spain?",
        "How can I put a freeze on my card today?",
        "What is my balance? How can I put a freeze on my card?",
    ],
)
def test_gates_and_eligibility_hold(open_bank: Make, upstream: TopicUpstream, text: str) -> None:
    session = open_bank()
    teach(session)
    assert ask(session, new()).tier == "margin"
    assert not ask(session, text).cached


def test_several_turns_are_never_served(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank()
    teach(session)
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": new()},
    ]
    assert not ask(session, new(), messages=turns).cached


def test_it_can_be_asked_for_and_switched_off_in_a_block(
    open_bank: Make, make_session: Make, upstream: TopicUpstream
) -> None:
    session = open_bank(cache={"semantic": "off"})
    with caching(semantic="margin"):
        teach(session)
        assert ask(session, new()).tier == "margin"
    assert not ask(session, WORDINGS["block"][9]).cached


def test_answers_that_differ_are_not_one_group(open_bank: Make, upstream: TopicUpstream) -> None:
    upstream.wordy = True
    session = open_bank()
    teach(session)
    assert not ask(session, new()).cached
    session.cache.margin.finish()
    rows = session.store.read("SELECT DISTINCT group_id FROM cache_vector")
    assert len(rows) == len(lessons()) + 1


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(sorted(TOPIC))),
        min_size=10,
        max_size=50,
    )
)
def test_a_tenant_never_gets_anothers(
    open_bank: Make, upstream: TopicUpstream, calls: list[tuple[str, str]]
) -> None:
    """Whatever was asked in which order, with however little evidence."""
    session = open_bank(
        cache={"min_wordings": 2, "min_judged": 1, "target": 0.9, "salt": str(calls)}
    )
    asked: dict[str, set[str]] = {"a": set(), "b": set()}
    for tenant, text in calls:
        upstream.shift = f"For {tenant}: "
        before = len(upstream.requests)
        reply = ask(session, text, context={"tenant": tenant})
        assert reply.text.startswith(f"For {tenant}: ")
        if reply.tier == "margin":
            assert len(upstream.requests) == before
            assert asked[tenant]
        if not reply.cached:
            asked[tenant].add(text)
        session.cache.margin.finish()
    session.close()
