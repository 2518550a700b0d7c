"""What was edited, poisoned, expired, cleared or cannot be reached is never served."""

from __future__ import annotations

import threading

import pytest
from cache_desk import body
from margin_desk import TOPIC, WORDINGS, Make, TopicUpstream, ask, lessons, new, teach

from llmops_kernel import Session
from llmops_kernel.cache.semantic.tuning import tuning_of
from llmops_kernel.calls import ChatRequest
from llmops_kernel.embed.minilm import MiniLM

UPSTREAM = TopicUpstream


def test_clearing_takes_it_along(open_bank: Make, upstream: TopicUpstream) -> None:
    session, other = open_bank(), open_bank()
    teach(session)
    assert ask(other, new()).tier == "margin"
    session.cache.clear()
    assert session.store.read("SELECT * FROM cache_vector") == []
    assert not ask(other, WORDINGS["block"][9]).cached
    assert not ask(session, WORDINGS["pin"][9]).cached


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
    teach(first)
    first.close()
    session = open_bank()
    with session.store.transaction() as tx:
        tx.run(edit)
    reply = ask(session, new())
    assert reply.tier == "" or "lie" not in reply.text
    if "cache_vector SET group_id" not in edit and "SET vector" not in edit:
        assert not reply.cached
    else:  # the row whose group or vector is the one put everywhere is as it was
        assert TOPIC[new()] in reply.text


def test_a_poisoned_tenant_does_not_reach_another(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank()
    teach(session, context={"tenant": "victim"})
    upstream.shift = "Poison: "
    teach(session, context={"tenant": "thief"})
    with session.store.transaction() as tx:  # everything of the thief's, under the victim's name
        places = dict(tx.rows("SELECT DISTINCT tenant, place FROM cache_vector"))  # type: ignore[arg-type]
        tx.run("DELETE FROM cache_vector WHERE tenant = 'victim'")
        tx.run(
            "UPDATE cache_vector SET tenant = 'victim', place = ? WHERE tenant = 'thief'",
            (places["victim"],),
        )
    session.cache.margin.reread()
    upstream.shift = ""
    reply = ask(session, new(), context={"tenant": "victim"})
    assert "Poison" not in reply.text


def test_expired_answers_are_not_served(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank(cache={"ttl_s": 1_000})
    teach(session)
    now = session.cache.shelf.clock() + 2_000
    session.cache.shelf.clock = lambda: now
    assert not ask(session, new()).cached


def test_it_works_in_every_place(
    open_bank: Make, upstream: TopicUpstream, place: dict[str, str]
) -> None:
    options = {"store": place["store"], "cache": {"url": place["url"]}}
    session = open_bank(**options)
    teach(session)
    assert ask(session, new()).tier == "margin"
    assert ask(open_bank(**options), WORDINGS["hours"][9]).tier == "margin"
    session.cache.clear()
    assert not ask(session, WORDINGS["block"][9]).cached


def test_clearing_while_others_read_and_learn(open_bank: Make, upstream: TopicUpstream) -> None:
    """Nothing is served from what was cleared, nothing wrong is served, and no call fails."""
    sessions = [open_bank(), open_bank()]
    teach(sessions[0])
    wrong: list[object] = []
    stop = threading.Event()

    def work(session: Session) -> None:
        number = 0
        while not stop.is_set():
            text = list(TOPIC)[number % len(TOPIC)]
            number += 1
            try:
                if TOPIC[text] not in (said := ask(session, text).text):
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
    assert not ask(sessions[0], "Can a lost card be frozen by phone?").cached


def test_more_texts_than_are_compared_in_memory_are_refused(
    open_bank: Make, upstream: TopicUpstream
) -> None:
    first = open_bank()
    teach(first)
    session = open_bank(cache={"numpy_entries": 10})
    assert not ask(session, new()).cached
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
    teach(session)

    def broken(_: object, text: str) -> None:
        raise RecursionError(text)

    monkeypatch.setattr(MiniLM, "embed_query", broken)
    assert not ask(session, new()).cached
    session.cache.margin.finish()
    monkeypatch.undo()
    assert ask(session, WORDINGS["block"][9]).tier == "margin"


def test_redis_down_is_a_call_like_any_other(open_bank: Make, upstream: TopicUpstream) -> None:
    session = open_bank(cache={"url": "redis://127.0.0.1:1/0"})
    for text in lessons(3):
        assert not ask(session, text).cached
    assert session.cache.warnings()


def test_an_embedder_that_is_missing_is_said_once_and_costs_no_call(
    open_bank: Make, upstream: TopicUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = open_bank(embedder="nobody/knows")
    for text in lessons(3):
        assert not ask(session, text).cached
    session.cache.margin.finish()
    assert caplog.text.count("with vectors cannot be used now") == 1
