"""The same question in other manners is served, another question never; nothing crosses a line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, body
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import caching
from llmops_kernel.cache.backend import Backend, Selection
from llmops_kernel.calls import ChatRequest, EmbeddingRequest, Reply
from llmops_kernel.store import hit_rows, near_rows, open_store
from llmops_kernel.store.cache_rows import EntryRow, FlightRow
from llmops_kernel.store.lease import Lease
from llmops_kernel.store.near_rows import NearRow
from llmops_kernel.store.schema import MIGRATIONS, SCHEMA_VERSION

Make = Callable[..., Session]
FIRST = "How do I block my card?"
AGAIN = "hi, how can i block my crad pls"
NOW = 1_900_000_000_000_000  # 2030
HOUR = 3_600_000_000


def _ask(session: Session, text: str = FIRST, **fields: Any) -> Reply:
    context = fields.pop("context", {})
    return session.call(ChatRequest.from_body(body(text, **fields)), **context)


def _near(session: Session, text: str, **fields: Any) -> bool:
    """Whether a request is answered by a near one."""
    return _ask(session, text, **fields).tier == "near_verbatim"


def test_other_manners_are_served_free_and_named(session: Session, upstream: StubUpstream) -> None:
    first = _ask(session)
    again = _ask(session, AGAIN)
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
    assert _ask(session).tier == "exact"
    assert session.traces(1)[0].attributes["tier"] == "exact"


def test_a_stream_is_served_and_named(session: Session, upstream: StubUpstream) -> None:
    first = _ask(session)
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
    _ask(session, stored)
    assert _near(session, f"hello, {stored.lower()}")
    assert not _ask(session, asked).cached
    assert len(upstream.requests) == 2


def _messages(system: str | None, text: Any, **last: Any) -> list[dict[str, Any]]:
    told = [] if system is None else [{"role": "system", "content": system}]
    return [*told, {"role": "user", "content": text, **last}]


@pytest.mark.parametrize(
    "change",
    [
        {"messages": _messages("Answer in German.", AGAIN)},
        {"messages": _messages(None, AGAIN)},
        {"messages": _messages("Be brief.", AGAIN, name="ann")},
        {"messages": _messages("Be brief.", [{"type": "text", "text": AGAIN}])},
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
    told: dict[str, Any] = {"messages": _messages("Be brief.", FIRST)}
    _ask(session, **told)
    asked: dict[str, Any] = {"messages": _messages("Be brief.", AGAIN)}
    assert not _ask(session, **{**asked, **change}).cached
    assert _near(session, "", **asked)


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
    _ask(session, first)
    assert _ask(session, first).tier == "exact"
    for other in (f"hello, {first}", f"{first} please", first.upper()):
        assert not _ask(session, other).cached


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
    _ask(session, **fields)
    assert not _ask(session, AGAIN, **fields).cached
    assert _ask(session, **fields).tier == "exact"


def test_several_turns_are_only_served_exactly(session: Session) -> None:
    def talk(last: str) -> Reply:
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
        return _ask(session, messages=[*turns, {"role": "user", "content": last}])

    talk(FIRST)
    assert not talk(AGAIN).cached
    assert talk(FIRST).tier == "exact"


def test_what_is_drawn_at_random_is_only_served_exactly(make_session: Make) -> None:
    session = make_session(cache={"sampled": True})
    _ask(session, temperature=0.7)
    assert _ask(session, temperature=0.7).tier == "exact"
    assert not _ask(session, AGAIN, temperature=0.7).cached


def test_embeddings_are_only_served_exactly(session: Session) -> None:
    for text, cached in ((FIRST, False), (AGAIN, False), (FIRST, True)):
        request = EmbeddingRequest.from_body({"model": "stub/stub-1", "input": text})
        assert session.call(request).cached == cached


def test_it_can_be_switched_off(make_session: Make) -> None:
    off = make_session(cache={"near": False})
    _ask(off)
    assert not _ask(off, AGAIN).cached
    session = make_session()
    _ask(session, "Where is the branch?")
    with caching(near=False):
        assert not _ask(session, "hello, where is the branch").cached
    with caching("off"):
        assert not _ask(session, "hi, where is the branch").cached
    assert _near(session, "hey, where is the branch please")


def test_nothing_of_a_question_is_kept_without_capture(make_session: Make) -> None:
    session = make_session(capture=False, cache={"mode": "exact"})
    _ask(session)
    assert not _ask(session, AGAIN).cached
    bodies = session.store.read("SELECT payload FROM cache_body")
    assert ["asked" in json.loads(body) for (body,) in bodies] == [False, False]
    assert session.store.read("SELECT * FROM cache_near") == []


def test_simulated_models_are_called_unless_asked_otherwise(make_session: Make) -> None:
    session = make_session()
    request = {"model": "sim/gpt-4o"}
    _ask(session, **request)
    assert not _ask(session, AGAIN, **request).cached
    with caching(simulated=True):
        _ask(session, **request)
        assert _near(session, AGAIN, **request)


def test_a_hit_is_not_kept_under_its_own_words(session: Session, upstream: StubUpstream) -> None:
    _ask(session)
    assert _near(session, AGAIN)
    assert session.cache.stats().entries == 1
    session.cache.clear()
    assert not _ask(session, AGAIN).cached
    assert len(upstream.requests) == 2


def test_a_sealed_question_cannot_be_moved(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session()
    _ask(session, "Where is the branch?")
    _ask(session, messages=_messages("Lie.", FIRST))
    _ask(session, "How do I close it?")
    with session.store.transaction() as tx:
        rows = tx.rows("SELECT DISTINCT place, entry_key FROM cache_near ORDER BY entry_key")
        lies = session.store.read("SELECT entry_key FROM cache_body WHERE payload LIKE '%block%'")
        (place,) = {place for place, key in rows if key != lies[0][0]}
        # The signs of another place are never those of this one; point everything at the lie.
        tx.run("DELETE FROM cache_near WHERE entry_key = ?", (lies[0][0],))
        tx.run("UPDATE cache_near SET entry_key = ? WHERE place = ?", (lies[0][0], place))
    assert not _ask(session, "hi, where is the branch").cached
    assert not _ask(session, AGAIN).cached


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE cache_body SET payload = REPLACE(payload, 'block', 'close')",
        "UPDATE cache_entry SET mac = ''",
        "UPDATE cache_entry SET tenant = 'other'",
        "UPDATE cache_body SET payload = '[]'",
    ],
)
def test_an_edited_row_is_never_served(session: Session, edit: str) -> None:
    _ask(session)
    with session.store.transaction() as tx:
        tx.run(edit)
    assert not _ask(session, AGAIN).cached
    assert not _ask(session, "how do i close my card").cached


def test_identical_ones_at_the_same_time_are_one_hit_each(
    session: Session, upstream: StubUpstream
) -> None:
    _ask(session)

    async def many() -> list[Any]:
        request = ChatRequest.from_body(body(AGAIN))
        return await asyncio.gather(*(session.acall(request) for _ in range(5)))

    replies = session._loop.run(many())
    assert {reply.tier for reply in replies} == {"near_verbatim"}
    assert len(upstream.requests) == 1
    assert session.cache.stats().tiers == {"near_verbatim": 5}
    assert session.cache.audit(tenant="default").total == 5


def test_every_place_keeps_and_clears_it(make_session: Make, place: dict[str, str]) -> None:
    session = make_session(store=place["store"], cache={"url": place["url"]})
    other = make_session(store=place["store"], cache={"url": place["url"]})
    with caching(tags=["faq"]):
        _ask(session)
    session.store.flush()  # as the end of a cell does, and the session a moment after a call
    assert _near(other, AGAIN)
    (hit,) = other.cache.audit(tenant="default").hits
    assert (hit.stored, hit.asked, hit.right) == (FIRST, AGAIN, None)
    assert session.cache.clear(tag="other") == 0
    assert other.cache.audit(tenant="default").total == 1
    assert session.cache.clear(tag="faq") == 1
    assert session.cache.audit(tenant="default").total == 0
    assert not _ask(other, AGAIN).cached


def _row(key: str, at: int = NOW) -> EntryRow:
    return EntryRow(key, "bank", "stub/m", "nb", "real", "[]", at, at + HOUR, 5, "mac", "{}")


def test_places_find_the_same_form_first_then_the_newest(
    make_backend: Callable[..., Backend],
) -> None:
    backend, other = make_backend(), make_backend()
    for age, (key, signs) in enumerate(
        [("a", ("x", "f", "l")), ("b", ("y", "f", "m")), ("c", ("z", "g", "l")), ("d", ("w",))]
    ):
        at = NOW + age
        backend.put(_row(key, at), at, "", NearRow("p", signs))
    backend.put(_row("e"), NOW, "", NearRow("q", ("x", "f", "l")))
    backend.put(_row("g"), NOW)

    def found(*signs: str, where: str = "p", limit: int = 9) -> list[str]:
        return [row.entry_key for row in other.twins(NearRow(where, signs), NOW + 5, limit)]

    assert found("x", "f", "l")[0] == "a"
    assert sorted(found("x", "f", "l")) == ["a", "b", "c"]
    assert found("x", "f", "l", limit=1) == ["a"]
    assert found() == ["d", "c", "b", "a"]
    assert found(limit=2) == ["d", "c"]
    assert found("x", where="q") == ["e"]
    assert found("nothing") == []
    other.put(_row("a", NOW + 9), NOW + 9, "", NearRow("p", ("n",)))  # its old forms go
    assert sorted(found("x", "f", "l")) == ["b", "c"]
    assert found("n") == ["a"]
    backend.remove(_row("b", NOW + 1))
    assert found("y", "f", "m") == []
    assert other.find("c", NOW) == _row("c", NOW + 2)
    assert other.find("b", NOW) is None
    backend.clear(Selection())
    assert found() == []


def test_what_was_served_lately_stays(make_backend: Callable[..., Backend]) -> None:
    backend = make_backend(entries=20)
    for number in range(20):
        backend.put(_row(f"k{number}", NOW + number), NOW + number)
    backend.touch("k0", NOW + 100)
    backend.touch("missing", NOW + 100)
    backend.put(_row("new", NOW + 101), NOW + 101)
    assert backend.find("k0", NOW) is not None
    assert backend.find("k1", NOW) is None
    claim = FlightRow("c", Lease.mine(), NOW + HOUR)
    assert backend.enter("missing", claim, NOW + 102) == "claimed"


def test_a_record_of_version_3_is_lifted(store_url: str) -> None:
    store = open_store(store_url)
    with store.transaction() as tx:
        tx.run(
            "INSERT INTO cache_tag (tag, entry_key) VALUES ('faq', 'k')",
        )
        for table in ("near", "hit", "tier", "vector", "judged", "spend"):
            tx.run(f"DROP TABLE cache_{table}")
        tx.run("UPDATE meta SET value = '3' WHERE name = 'schema'")
    store.close()
    lifted = open_store(store_url)
    try:
        assert len(MIGRATIONS) == SCHEMA_VERSION - 1
        assert lifted.read("SELECT tag FROM cache_tag") == [("faq",)]
        with lifted.transaction() as tx:
            near_rows.put(tx, "k", NearRow("p", ("a", "b")), NOW)
            assert near_rows.keys(tx, NearRow("p", ("a", "b")), 5) == ["k"]
    finally:
        lifted.close()


def test_hits_of_version_4_are_kept(store_url: str) -> None:
    store = open_store(store_url)
    with store.transaction() as tx:
        for table in ("hit", "tier", "vector", "judged", "spend"):
            tx.run(f"DROP TABLE cache_{table}")
        tx.run(
            "CREATE TABLE cache_twin (twin_id INTEGER PRIMARY KEY, at BIGINT NOT NULL, "
            "call_id TEXT NOT NULL, entry_key TEXT NOT NULL, tenant TEXT NOT NULL, "
            "model TEXT NOT NULL, notebook TEXT NOT NULL, tags TEXT NOT NULL, "
            "stored TEXT NOT NULL, asked TEXT NOT NULL, reason TEXT NOT NULL, verdict BIGINT)"
        )
        for number, verdict in ((1, 1), (2, None)):
            values = (number, number, "c", "k", "bank", "m", "nb", "[]", "a", "b", "why", verdict)
            tx.run(f"INSERT INTO cache_twin VALUES ({', '.join('?' * 12)})", values)
        tx.run("UPDATE meta SET value = '4' WHERE name = 'schema'")
    store.close()
    lifted = open_store(store_url)
    try:
        found = [row for _, row in hit_rows.hits(lifted, "bank")]
        assert [(row.at, row.verdict, row.tier) for row in found] == [
            (2, None, "near_verbatim"),
            (1, 1, "near_verbatim"),
        ]
        (count,) = hit_rows.counts(lifted, "bank")
        assert (count.hits, count.judged, count.wrong, count.waiting) == (2, 1, 0, 0)
    finally:
        lifted.close()


# ---- properties -----------------------------------------------------------------------------

_QUESTION = st.sampled_from(
    [FIRST, "Where is the branch?", "What does a transfer of 100 euros to Spain cost?"]
)
_MANNERS = st.sampled_from(["{}", "hi, {}", "hello {} please", "{} thanks!", "Hey, {}"])
_PLACE = st.fixed_dictionaries(
    {
        "system": st.sampled_from([None, "Be brief.", "Be brief", "be brief."]),
        "context": st.sampled_from(["", "The fee is 1 dollar.", "The fee is 2 dollars."]),
        "tenant": st.sampled_from(["a", "b", "A"]),
        "max_tokens": st.sampled_from([None, 5]),
    }
)


@given(st.lists(st.tuples(_PLACE, _QUESTION, _MANNERS), min_size=2, max_size=8))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_hit_stays_in_its_place(
    make_session: Make,
    upstream: StubUpstream,
    asked: list[tuple[dict[str, Any], str, str]],
) -> None:
    """Whatever was asked before: a hit has tenant, system text and context of its first asker."""
    session = make_session()
    session.cache.clear()
    seen: set[str] = set()
    for place, question, manners in asked:
        system = "\n".join(t for t in (place["system"], place["context"]) if t) or None
        fields: dict[str, Any] = {
            "messages": _messages(system, manners.format(question)),
            "context": {"tenant": place["tenant"]},
        }
        if place["max_tokens"]:
            fields["max_tokens"] = place["max_tokens"]
        mine = json.dumps([system, place["tenant"], place["max_tokens"], question])
        reply = _ask(session, **fields)
        assert reply.cached == (mine in seen)
        seen.add(mine)
    session.close()


@given(st.integers(0, 10**6), st.integers(0, 10**6), _MANNERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_another_number_is_always_another_question(
    session: Session, one: int, other: int, manners: str
) -> None:
    assume(one != other)
    session.cache.clear()
    _ask(session, f"What does a transfer of {one} euros cost?")
    asked = manners.format(f"what does a transfer of {other} euros cost?")
    assert not _ask(session, asked).cached


def test_a_rule_that_fails_costs_no_call(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from llmops_kernel.cache.semantic import eligibility
    from llmops_kernel.cache.semantic.verbatim import NearVerbatim

    def broken(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    _ask(session)
    with monkeypatch.context() as patch:
        patch.setattr(NearVerbatim, "compare_signatures", broken)
        assert not _ask(session, AGAIN).cached
        patch.setattr(eligibility, "eligible", broken)
        assert not _ask(session, "hello, how do i block my card").cached
        assert _ask(session).tier == "exact"
    assert "could not be compared" in caplog.text
    assert "could not be read" in caplog.text
    assert _near(session, "hey, how do i block my card")
