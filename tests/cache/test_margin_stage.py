"""The margin tier in the path: off until there is evidence, then re-wordings; off when it errs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cache_desk import USD, body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from margin_desk import EAGER, TOPIC, WORDINGS, TopicUpstream, lessons

from llmops_kernel import Session
from llmops_kernel.budget import audit
from llmops_kernel.cache import caching
from llmops_kernel.cache.semantic.margin import State
from llmops_kernel.cache.semantic.tuning import tuning_of
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.embed.minilm import MiniLM

Make = Callable[..., Session]


@pytest.fixture
def upstream() -> Iterator[TopicUpstream]:
    with TopicUpstream() as server:
        yield server


@pytest.fixture
def open_bank(make_session: Make) -> Make:
    """Opens a session whose margin tier needs little evidence."""

    def make(**settings: Any) -> Session:
        cache = {**EAGER, **settings.pop("cache", {})}
        return make_session(
            cache=cache, prices={"stub/stub-1": USD, "stub/judge-1": USD}, **settings
        )

    return make


def _ask(session: Session, text: str, **fields: Any) -> Reply:
    context = fields.pop("context", {})
    return session.call(ChatRequest.from_body(body(text, **fields)), **context)


def _teach(session: Session, texts: list[str] | None = None, **fields: Any) -> None:
    for text in lessons() if texts is None else texts:
        assert _ask(session, text, **fields).tier in ("", "margin")
    session.cache.margin.finish()
    session.store.flush()


def _new(topic: str = "block") -> str:
    return WORDINGS[topic][8]


def test_it_is_off_unless_asked_for(make_session: Make) -> None:
    session = make_session()
    for text in lessons(3):
        assert not _ask(session, text).cached
    assert session.cache._margin is None
    assert session.store.read("SELECT * FROM cache_vector") == []


def test_nothing_is_served_before_there_is_evidence(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    texts = lessons(4)
    assert not any(_ask(session, text).cached for text in texts)
    session.cache.margin.finish()
    assert not _ask(session, _new()).cached
    (loaded,) = session.cache.margin._workshop.loaded.values()
    assert loaded.tier.state is State.NOT_ENOUGH


def test_a_rewording_is_served_once_there_is_evidence(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    _teach(session)
    before = len(upstream.requests)
    reply = _ask(session, _new())
    assert (reply.tier, reply.cached, reply.cost_nano) == ("margin", True, 0)
    assert reply.text == "The answer about block"
    assert len(upstream.requests) == before
    stats = session.cache.stats()
    hits = [each for each in session.cache.audit(tenant="default").hits if each.tier == "margin"]
    assert stats.tiers["margin"] == len(hits)
    assert (hits[0].asked, TOPIC[hits[0].stored]) == (_new(), "block")
    assert all(TOPIC[hit.stored] == TOPIC[hit.asked] for hit in hits)
    assert audit(session.store) == []
    # What is served is not kept under its own words: nothing leads from it to a third text.
    assert stats.entries == stats.misses == len(lessons()) + 1 - len(hits)


def test_another_kernel_serves_what_this_one_learnt(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    first = open_bank()
    _teach(first)
    first.close()
    other = open_bank()
    assert _ask(other, _new()).tier == "margin"
    third = open_bank()
    _teach(other, ["Where do I block a card that is gone?"])
    assert _ask(third, WORDINGS["block"][9]).tier == "margin"


@pytest.mark.parametrize(
    "change",
    [
        {"context": {"tenant": "other"}},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": _new()}]},
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
    _teach(session)
    assert _ask(session, _new()).tier == "margin"
    assert not _ask(session, _new(), **change).cached


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
    _teach(session)
    assert _ask(session, _new()).tier == "margin"
    assert not _ask(session, text).cached


def test_several_turns_are_never_served(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank()
    _teach(session)
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": _new()},
    ]
    assert not _ask(session, _new(), messages=turns).cached


def test_it_can_be_asked_for_and_switched_off_in_a_block(
    open_bank: Make, make_session: Make, upstream: TopicUpstream
) -> None:
    session = open_bank(cache={"semantic": "off"})
    with caching(semantic="margin"):
        _teach(session)
        assert _ask(session, _new()).tier == "margin"
    assert not _ask(session, WORDINGS["block"][9]).cached


def test_answers_that_differ_are_not_one_group(open_bank: Make, upstream: TopicUpstream) -> None:
    upstream.wordy = True
    session = open_bank()
    _teach(session)
    assert not _ask(session, _new()).cached
    session.cache.margin.finish()
    rows = session.store.read("SELECT DISTINCT group_id FROM cache_vector")
    assert len(rows) == len(lessons()) + 1


def test_a_judge_merges_groups_and_serves_nobody_by_its_word(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    upstream.wordy = True
    session = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    for text in lessons():
        reply = _ask(session, text)
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
        _ask(session, text)
        _judges_done(session)
    assert 0 < upstream.judged < 32, upstream.judged
    session.store.flush()
    assert session.store.read("SELECT nano FROM cache_spend")[0][0] <= 2_000_000


def test_audits_ask_afresh_and_wrong_answers_switch_it_off(
    open_bank: Make, upstream: TopicUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    _teach(session)
    session._loop.run(session.cache.watch.settled())
    before = len(upstream.asked)
    assert _ask(session, _new()).tier == "margin"
    session._loop.run(session.cache.watch.settled())
    assert len(upstream.asked) == before + 1
    (tier,) = [t for t in session.cache.audit(tenant="default").tiers if t.tier == "margin"]
    assert tier.evidence.hits == tier.hits > 0
    assert (tier.evidence.errors, tier.off, tier.waiting) == (0, 0, 0)
    upstream.shift = "By now different: "
    other = open_bank(cache={"judge": "stub/judge-1", "judge_usd": "1"})
    served = []
    with caplog.at_level(logging.WARNING):
        for text in (*(_new(topic) for topic in ("pin", "loan", "hours")), WORDINGS["block"][9]):
            served.append(_ask(session, text).tier)
            session._loop.run(session.cache.watch.settled())
    assert "margin" in served
    assert served[-1] == ""
    assert caplog.text.count("switched itself off") == 1
    assert session.cache.broken("default")
    kernels = zip((session, other, open_bank()), ("pin", "loan", "hours"), strict=True)
    for each, topic in kernels:  # for every kernel, and for good
        assert not _ask(each, WORDINGS[topic][9]).cached
        assert each.cache.broken("default")
    row = session.cache.watch.broken("default")[0]
    assert session.cache.watch.restart("default", "margin", row.place)
    assert not session.cache.broken("default")
    # It begins without evidence.
    assert not _ask(session, "How do I lock a card that I lost?").cached
    for each in (session, other):  # their judges must not ask while the connections are closed
        each._loop.run(each.cache.stop_asking())


def test_without_a_cap_drawn_hits_wait_for_a_person(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank()
    _teach(session)
    before = len(upstream.requests)
    assert _ask(session, _new()).tier == "margin"
    session._loop.run(session.cache.watch.settled())
    assert len(upstream.requests) == before
    found = session.cache.audit(tenant="default")
    (tier,) = [each for each in found.tiers if each.tier == "margin"]
    assert tier.waiting == tier.hits >= 1
    assert tier.evidence.hits == 0
    assert (found.hits[0].asked, found.hits[0].drawn) == (_new(), True)
    session.cache.judge(found.hits[0].number, right=False, tenant="default")
    assert not _ask(session, WORDINGS["block"][9]).cached


def test_the_near_verbatim_tier_switches_itself_off_too(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    session = open_bank(cache={"semantic": "off"})
    _ask(session, "How do I block my card?")
    assert _ask(session, "hi, how can i block my card").tier == "near_verbatim"
    hit = session.cache.audit(tenant="default").hits[0]
    session.cache.judge(hit.number, right=False, tenant="default")
    assert not _ask(session, "hello, how can i block my card please").cached
    assert _ask(open_bank(), "hello, how can i block my card please").cached  # in its own words
    assert session.cache.broken("default") == open_bank().cache.broken("default") != []
    assert session.cache.watch.restart("default", "near_verbatim")
    assert _ask(session, "hey, how can i block my card please").tier == "near_verbatim"


def test_clearing_takes_it_along(open_bank: Make, upstream: TopicUpstream) -> None:
    session, other = open_bank(), open_bank()
    _teach(session)
    assert _ask(other, _new()).tier == "margin"
    session.cache.clear()
    assert session.store.read("SELECT * FROM cache_vector") == []
    assert not _ask(other, WORDINGS["block"][9]).cached
    assert not _ask(session, WORDINGS["pin"][9]).cached


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE cache_vector SET group_id = (SELECT MIN(group_id) FROM cache_vector)",
        "UPDATE cache_vector SET tenant = 'other'",
        "UPDATE cache_vector SET vector = (SELECT vector FROM cache_vector ORDER BY seq LIMIT 1)",
        "UPDATE cache_vector SET gate = '[]'",
        "UPDATE cache_vector SET entry_key = 'x' || seq",
        "UPDATE cache_body SET payload = REPLACE(payload, 'answer', 'lie')",
        "UPDATE cache_entry SET tenant = 'other'",
    ],
)
def test_what_was_edited_is_never_served(
    open_bank: Make, upstream: TopicUpstream, edit: str
) -> None:
    first = open_bank()
    _teach(first)
    first.close()
    session = open_bank()
    with session.store.transaction() as tx:
        tx.run(edit)
    reply = _ask(session, _new())
    assert reply.tier == "" or "lie" not in reply.text
    if "cache_vector SET group_id" not in edit and "SET vector" not in edit:
        assert not reply.cached
    else:  # the row whose group or vector is the one put everywhere is as it was
        assert TOPIC[_new()] in reply.text


def test_a_poisoned_tenant_does_not_reach_another(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank()
    _teach(session, context={"tenant": "victim"})
    upstream.shift = "Poison: "
    _teach(session, context={"tenant": "thief"})
    with session.store.transaction() as tx:  # everything of the thief's, under the victim's name
        places = dict(tx.rows("SELECT DISTINCT tenant, place FROM cache_vector"))  # type: ignore[arg-type]
        tx.run("DELETE FROM cache_vector WHERE tenant = 'victim'")
        tx.run(
            "UPDATE cache_vector SET tenant = 'victim', place = ? WHERE tenant = 'thief'",
            (places["victim"],),
        )
    session.cache.margin.reread()
    upstream.shift = ""
    reply = _ask(session, _new(), context={"tenant": "victim"})
    assert "Poison" not in reply.text


def test_expired_answers_are_not_served(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank(cache={"ttl_s": 1_000})
    _teach(session)
    now = session.cache.shelf.clock() + 2_000
    session.cache.shelf.clock = lambda: now
    assert not _ask(session, _new()).cached


def test_it_works_in_every_place(
    open_bank: Make, upstream: TopicUpstream, place: dict[str, str]
) -> None:
    options = {"store": place["store"], "cache": {"url": place["url"]}}
    session = open_bank(**options)
    _teach(session)
    assert _ask(session, _new()).tier == "margin"
    assert _ask(open_bank(**options), WORDINGS["hours"][9]).tier == "margin"
    session.cache.clear()
    assert not _ask(session, WORDINGS["block"][9]).cached


def test_clearing_while_others_read_and_learn(open_bank: Make, upstream: TopicUpstream) -> None:
    """Nothing is served from what was cleared, nothing wrong is served, and no call fails."""
    sessions = [open_bank(), open_bank()]
    _teach(sessions[0])
    wrong: list[object] = []
    stop = threading.Event()

    def work(session: Session) -> None:
        number = 0
        while not stop.is_set():
            text = list(TOPIC)[number % len(TOPIC)]
            number += 1
            try:
                if TOPIC[text] not in (said := _ask(session, text).text):
                    wrong.append((text, said))
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    clearing = open_bank()
    for _ in range(10):
        clearing.cache.clear()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    for session in sessions:
        session.cache.margin.finish()
    clearing.cache.clear()
    assert not _ask(sessions[0], "Can a lost card be frozen by phone?").cached


def test_more_texts_than_are_compared_in_memory_are_refused(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    first = open_bank()
    _teach(first)
    session = open_bank(cache={"numpy_entries": 10})
    assert not _ask(session, _new()).cached
    request = ChatRequest.from_body(body(WORDINGS["pin"][9]))
    target = session.catalog.resolve(request.model)
    found = session.cache.explain(request, target, session.context())
    assert found.reason.endswith("more than 10 texts, and the record is no PostgreSQL database")
    (report,) = tuning_of(session.cache, "default").partitions
    assert (report.vectors, report.missing) == (
        "nowhere", "fewer texts, or a PostgreSQL record with the vector extension"
    )  # fmt: skip


def test_a_text_that_cannot_be_embedded_costs_no_call(
    open_bank: Make, upstream: TopicUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_bank()
    _teach(session)

    def broken(_: object, text: str) -> None:
        raise RecursionError(text)

    monkeypatch.setattr(MiniLM, "embed_query", broken)
    assert not _ask(session, _new()).cached
    session.cache.margin.finish()
    monkeypatch.undo()
    assert _ask(session, WORDINGS["block"][9]).tier == "margin"


def test_redis_down_is_a_call_like_any_other(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank(cache={"url": "redis://127.0.0.1:1/0"})
    for text in lessons(3):
        assert not _ask(session, text).cached
    assert session.cache.warnings()


def test_an_embedder_that_is_missing_is_said_once_and_costs_no_call(
    open_bank: Make, upstream: TopicUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_bank(embedder="nobody/knows")
    for text in lessons(3):
        assert not _ask(session, text).cached
    session.cache.margin.finish()
    assert caplog.text.count("with vectors cannot be used now") == 1


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
        reply = _ask(session, text, context={"tenant": tenant})
        assert reply.text.startswith(f"For {tenant}: ")
        if reply.tier == "margin":
            assert len(upstream.requests) == before
            assert asked[tenant]
        if not reply.cached:
            asked[tenant].add(text)
        session.cache.margin.finish()
    session.close()
