"""The same question in other manners is served, another question never; nothing crosses a line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, body
from near_desk import AGAIN, FIRST, Make, ask, messages, near
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import caching
from llmops_kernel.calls import ChatRequest, EmbeddingRequest, Reply


def test_other_manners_are_served_free_and_named(session: Session, upstream: StubUpstream) -> None:
    first = ask(session)
    again = ask(session, AGAIN)
    assert (first.tier, again.tier) == ("", "near_verbatim")
    assert again == first.with_(cached=True, cost_nano=0)
    assert len(upstream.requests) == 1
    stats = session.cache.stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 1, 1)
    assert stats.tiers == {"near_verbatim": 1}
    assert stats.saved_nano == {"real": NANO_PER_CALL}
    span, old = session.traces(2)
    assert span.attributes["tier"] == "near_verbatim"
    assert "tier" not in old.attributes
    assert ask(session).tier == "exact"
    assert session.traces(1)[0].attributes["tier"] == "exact"


def test_a_stream_is_served_and_named(session: Session, upstream: StubUpstream) -> None:
    first = ask(session)
    request = ChatRequest.from_body(body(AGAIN, stream=True))

    async def read() -> Any:
        stream = await session.acall(request)
        text = "".join(
            [c["choices"][0]["delta"].get("content") or "" async for c in stream if c["choices"]]  # type: ignore[union-attr]
        )
        return text, stream.final  # type: ignore[union-attr]

    text, final = session._loop.run(read())
    assert text == first.text
    assert (final.tier, final.cached, final.cost_nano) == ("near_verbatim", True, 0)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("What does it cost to send 100 euros?", "What does it cost to send 200 euros?"),
        ("Can I cancel order A-100?", "Can I cancel order A-101?"),
        ("Do you charge a fee abroad?", "Do you not charge a fee abroad?"),
        ("Can I unblock my card?", "Can I block my card?"),
        ("How do I send money to Spain?", "How do I send money from Spain?"),
        ("How do I change euros to dollars?", "How do I change dollars to euros?"),
        ("Why was my card declined?", "When was my card declined?"),
        ("Can I open an account?", "Must I open an account?"),
    ],
)
def test_another_question_is_sent(
    session: Session, upstream: StubUpstream, stored: str, asked: str
) -> None:
    ask(session, stored)
    assert near(session, f"hello, {stored.lower()}")
    assert not ask(session, asked).cached
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"messages": messages("Answer in German.", AGAIN)},
        {"messages": messages(None, AGAIN)},
        {"messages": messages("Be brief.", AGAIN, name="ann")},
        {"messages": messages("Be brief.", [{"type": "text", "text": AGAIN}])},
        {"model": "stub/stub-2"},
        {"max_tokens": 5},
        {"seed": 1},
        {"top_p": 0.5},
        {"stop": ["x"]},
        {"response_format": {"type": "json_object"}},
        {"user": "somebody"},
        {"n": 2},
        {"temperature": 0.5, "seed": 1},
        {"a_field_of_tomorrow": 1},
        {"context": {"tenant": "other"}},
    ],
    ids=str,
)
def test_everything_else_must_agree(make_session: Make, change: dict[str, Any]) -> None:
    price = {"input": 1, "output": 2}
    session = make_session(prices={"stub/stub-1": price, "stub/stub-2": price})
    told: dict[str, Any] = {"messages": messages("Be brief.", FIRST)}
    ask(session, **told)
    asked: dict[str, Any] = {"messages": messages("Be brief.", AGAIN)}
    assert not ask(session, **{**asked, **change}).cached
    assert near(session, "", **asked)


@pytest.mark.parametrize(
    "first",
    [
        "What is the latest rate?",
        "What is my balance?",
        "My name is Ann Smith, how do I block my card?",
        "Wie sperre ich meine Karte?",
        "Fix the spelling: how do I blok my card?",
        "Context: the fee is two dollars.\nQuestion: what is the fee?",
        "<context>\nThe fee is two dollars.\n</context>\n\nWhat is the fee?",
        "[1] The fee is two dollars. What is the fee?",
        "def f(x): return x",
        "How do I block my card?\0",
    ],
)
def test_what_is_not_eligible_is_only_served_letter_for_letter(
    session: Session, first: str
) -> None:
    ask(session, first)
    assert ask(session, first).tier == "exact"
    for other in (f"hello, {first}", f"{first} please", first.upper()):
        assert not ask(session, other).cached


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"functions": [{"name": "f"}]},
        {"n": 2},
    ],
)
def test_tools_and_choices_are_only_served_exactly(
    session: Session, fields: dict[str, Any]
) -> None:
    ask(session, **fields)
    assert not ask(session, AGAIN, **fields).cached
    assert ask(session, **fields).tier == "exact"


def test_several_turns_are_only_served_exactly(session: Session) -> None:
    def talk(last: str) -> Reply:
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        return ask(session, messages=[*turns, {"role": "user", "content": last}])

    talk(FIRST)
    assert not talk(AGAIN).cached
    assert talk(FIRST).tier == "exact"


def test_what_is_drawn_at_random_is_only_served_exactly(make_session: Make) -> None:
    session = make_session(cache={"sampled": True})
    ask(session, temperature=0.7)
    assert ask(session, temperature=0.7).tier == "exact"
    assert not ask(session, AGAIN, temperature=0.7).cached


def test_embeddings_are_only_served_exactly(session: Session) -> None:
    for text, cached in ((FIRST, False), (AGAIN, False), (FIRST, True)):
        request = EmbeddingRequest.from_body({"model": "stub/stub-1", "input": text})
        assert session.call(request).cached == cached


def test_it_can_be_switched_off(make_session: Make) -> None:
    off = make_session(cache={"near": False})
    ask(off)
    assert not ask(off, AGAIN).cached
    session = make_session()
    ask(session, "Where is the branch?")
    with caching(near=False):
        assert not ask(session, "hello, where is the branch").cached
    with caching("off"):
        assert not ask(session, "hi, where is the branch").cached
    assert near(session, "hey, where is the branch please")


def test_nothing_of_a_question_is_kept_without_capture(make_session: Make) -> None:
    session = make_session(capture=False, cache={"mode": "exact"})
    ask(session)
    assert not ask(session, AGAIN).cached
    bodies = session.store.read("SELECT payload FROM cache_body")
    assert ["asked" in json.loads(body) for (body,) in bodies] == [False, False]
    assert session.store.read("SELECT * FROM cache_near") == []


def test_simulated_models_are_called_unless_asked_otherwise(make_session: Make) -> None:
    session = make_session()
    request = {"model": "sim/gpt-4o"}
    ask(session, **request)
    assert not ask(session, AGAIN, **request).cached
    with caching(simulated=True):
        ask(session, **request)
        assert near(session, AGAIN, **request)


def test_a_hit_is_not_kept_under_its_own_words(session: Session, upstream: StubUpstream) -> None:
    ask(session)
    assert near(session, AGAIN)
    assert session.cache.stats().entries == 1
    session.cache.clear()
    assert not ask(session, AGAIN).cached
    assert len(upstream.requests) == 2


def test_identical_ones_at_the_same_time_are_one_hit_each(
    session: Session, upstream: StubUpstream
) -> None:
    ask(session)

    async def many() -> list[Any]:
        request = ChatRequest.from_body(body(AGAIN))
        return await asyncio.gather(*(session.acall(request) for _ in range(5)))

    replies = session._loop.run(many())
    assert {reply.tier for reply in replies} == {"near_verbatim"}
    assert len(upstream.requests) == 1
    assert session.cache.stats().tiers == {"near_verbatim": 5}
    assert session.cache.audit(tenant="default").total == 5


def test_a_rule_that_fails_costs_no_call(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from llmops_kernel.cache.semantic import eligibility
    from llmops_kernel.cache.semantic.verbatim import NearVerbatim

    def broken(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    ask(session)
    with monkeypatch.context() as patch:
        patch.setattr(NearVerbatim, "compare_signatures", broken)
        assert not ask(session, AGAIN).cached
        patch.setattr(eligibility, "eligible", broken)
        assert not ask(session, "hello, how do i block my card").cached
        assert ask(session).tier == "exact"
    assert "could not be compared" in caplog.text
    assert "could not be read" in caplog.text
    assert near(session, "hey, how do i block my card")
