"""Judges, audits and people: the margin tier learns from them, and is switched off by them."""

from __future__ import annotations

import logging

import pytest
from margin_desk import TOPIC, WORDINGS, Make, TopicUpstream, ask, lessons, new, teach

from llmops_kernel import Session

UPSTREAM = TopicUpstream


def test_a_judge_merges_groups_and_serves_nobody_by_its_word(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    upstream.wordy = True
    session = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    for text in lessons():
        reply = ask(session, text)
        # Whatever was judged so far: every text has an answer of its own.
        assert not reply.cached
        assert TOPIC[text] in reply.text
        _judges_done(session)
    assert upstream.judged > 10
    assert len(upstream.asked) == len(lessons())
    session.store.flush()
    (groups,) = session.store.read("SELECT COUNT(DISTINCT group_id) FROM cache_vector")[0]
    assert groups < 10
    judged = session.store.read("SELECT DISTINCT judged_by FROM cache_judged")
    assert ("stub/judge-1",) in judged
    spent = session.store.read("SELECT nano FROM cache_spend")[0][0]
    costs = [event.spent_nano for event in session.history(1_000) if event.kind == "settle"]
    assert spent == sum(costs) - len(upstream.asked) * 13_000


def _judges_done(session: Session) -> None:
    import asyncio

    async def wait() -> None:
        margin = session.cache.margin
        for _ in range(2):
            await asyncio.get_running_loop().run_in_executor(None, margin.finish)
            await asyncio.sleep(0)
            while margin.learner.judging:
                await asyncio.wait(set(margin.learner.judging))

    session._loop.run(wait())


def test_a_judge_keeps_to_its_cap(open_bank: Make, upstream: TopicUpstream) -> None:
    upstream.wordy = True
    session = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "0.002"})
    for text in lessons():
        ask(session, text)
        _judges_done(session)
    assert 0 < upstream.judged < 32, upstream.judged
    session.store.flush()
    assert session.store.read("SELECT nano FROM cache_spend")[0][0] <= 2_000_000


def test_audits_ask_afresh_and_wrong_answers_switch_it_off(
    open_bank: Make, upstream: TopicUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    teach(session)
    session._loop.run(session.cache.watch.settled())
    before = len(upstream.asked)
    assert ask(session, new()).tier == "margin"
    session._loop.run(session.cache.watch.settled())
    assert len(upstream.asked) == before + 1
    (tier,) = [t for t in session.cache.audit(tenant="default").tiers if t.tier == "margin"]
    assert tier.evidence.hits == tier.hits > 0
    assert (tier.evidence.errors, tier.off, tier.waiting) == (0, 0, 0)
    upstream.shift = "By now different: "
    other = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    served = []
    with caplog.at_level(logging.WARNING):
        for text in (*(new(topic) for topic in ("pin", "loan", "hours")), WORDINGS["block"][9]):
            served.append(ask(session, text).tier)
            session._loop.run(session.cache.watch.settled())
    assert "margin" in served
    assert served[-1] == ""
    assert caplog.text.count("switched itself off") == 1
    assert session.cache.broken("default")
    kernels = zip((session, other, open_bank()), ("pin", "loan", "hours"), strict=True)
    for each, topic in kernels:  # for every kernel, and for good
        assert not ask(each, WORDINGS[topic][9]).cached
        assert each.cache.broken("default")
    row = session.cache.watch.broken("default")[0]
    assert session.cache.watch.restart("default", "margin", row.place)
    assert not session.cache.broken("default")
    # It begins without evidence.
    assert not ask(session, "How do I lock a card that I lost?").cached
    for each in (session, other):  # their judges must not ask while the connections are closed
        each._loop.run(each.cache.stop_asking())


def test_without_a_cap_drawn_hits_wait_for_a_person(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    teach(session)
    before = len(upstream.requests)
    assert ask(session, new()).tier == "margin"
    session._loop.run(session.cache.watch.settled())
    assert len(upstream.requests) == before
    found = session.cache.audit(tenant="default")
    (tier,) = [each for each in found.tiers if each.tier == "margin"]
    assert tier.waiting == tier.hits >= 1
    assert tier.evidence.hits == 0
    assert (found.hits[0].asked, found.hits[0].drawn) == (new(), True)
    session.cache.judge(found.hits[0].number, right=False, tenant="default")
    assert not ask(session, WORDINGS["block"][9]).cached


def test_the_near_verbatim_tier_switches_itself_off_too(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank(cache={"semantic": "off"})
    ask(session, "How do I block my card?")
    assert ask(session, "hi, how can i block my card").tier == "near_verbatim"
    hit = session.cache.audit(tenant="default").hits[0]
    session.cache.judge(hit.number, right=False, tenant="default")
    assert not ask(session, "hello, how can i block my card please").cached
    assert ask(open_bank(), "hello, how can i block my card please").cached  # in its own words
    assert session.cache.broken("default") == open_bank().cache.broken("default") != []
    assert session.cache.watch.restart("default", "near_verbatim")
    assert ask(session, "hey, how can i block my card please").tier == "near_verbatim"
