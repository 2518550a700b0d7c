"""A repeated request costs nothing, tenants never meet, and what is unsafe is always sent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stub_upstream import Answer, StubUpstream, chunk, completion, stream, usage_chunk

from llmops_kernel import Session
from llmops_kernel.budget import audit
from llmops_kernel.cache import caching
from llmops_kernel.calls import ChatRequest, EmbeddingRequest, Reply
from llmops_kernel.errors import (
    BudgetExceeded,
    ProviderError,
    SettingsError,
    SpendingStopped,
    UsageProblem,
)

Make = Callable[..., Session]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def _ask(session: Session, text: str = "What does it cost?", **fields: Any) -> Reply:
    context = fields.pop("context", {})
    return session.call(ChatRequest.from_body(body(text, **fields)), **context)


def _spent(session: Session) -> int:
    spent = {status.spent for status in session.budget() if status.book == "real"}
    assert len(spent) == 1
    return int(spent.pop() * 10**9)


def test_a_repeat_is_served_free_and_the_saving_is_written_down(
    session: Session, upstream: StubUpstream
) -> None:
    first = _ask(session)
    again = _ask(session)
    assert (first.cached, first.cost_nano) == (False, NANO_PER_CALL)
    assert again == first.with_(cached=True, cost_nano=0)
    assert len(upstream.requests) == 1
    assert _spent(session) == NANO_PER_CALL
    assert [event.kind for event in session.history()] == ["settle", "reserve"]
    assert audit(session.store) == []
    stats = session.cache.stats()
    assert (stats.entries, stats.hits, stats.misses) == (1, 1, 1)
    assert stats.tiers == {"exact": 1}
    assert stats.hit_rate == 0.5
    assert stats.saved() == Decimal(NANO_PER_CALL) / 10**9
    assert stats.saved("simulated") == 0
    span, old = session.traces(2)
    assert (span.attributes["cached"], old.attributes["cached"]) == (True, False)
    assert span.attributes["usd_nano"] == 0


@pytest.mark.parametrize("fields", [{}, {"tools": [TOOL]}, {"n": 3}, {"seed": 4, "temperature": 1}])
@pytest.mark.parametrize("first", [False, True])
def test_streams_and_whole_answers_are_one_entry(
    session: Session, upstream: StubUpstream, fields: dict[str, Any], first: bool
) -> None:
    request = ChatRequest.from_body(body(**fields))

    def streamed() -> tuple[list[Any], Reply]:
        async def read() -> Any:
            replies = await session.acall(request.with_(stream=True))
            chunks = [each async for each in replies]  # type: ignore[union-attr]
            return chunks, replies.final  # type: ignore[union-attr]

        return session._loop.run(read())  # type: ignore[no-any-return]

    came: Any = streamed() if first else session.call(request)
    chunks, final = streamed()
    whole = session.call(request)
    assert len(upstream.requests) == 1
    made = came[1] if first else came
    assert not made.cached
    for reply in (final, whole):
        assert reply.cached
        assert reply.cost_nano == 0
        assert reply.usage == made.usage
        assert [c["finish_reason"] for c in reply.choices] == [
            c["finish_reason"] for c in made.choices
        ]
        assert [c["message"] for c in reply.choices] == [c["message"] for c in made.choices]
    if first:
        assert chunks == came[0]
    assert _spent(session) == NANO_PER_CALL


def test_simulated_models_are_called_again_unless_asked_otherwise(session: Session) -> None:
    costs = [session.ask("Hi", model="sim/gpt-4o", max_tokens=200).usd for _ in range(3)]
    assert costs[0] == costs[1] == costs[2] > 0
    assert session.cache.stats().misses == 0
    with caching(simulated=True):
        answers = [session.ask("Hi", model="sim/gpt-4o", max_tokens=200) for _ in range(2)]
    assert [answer.cached for answer in answers] == [False, True]
    assert [answer.usd for answer in answers] == [costs[0], 0]
    assert session.cache.stats().saved("simulated") == costs[0]
    assert session.cache.stats().saved() == 0


def test_a_simulated_hit_takes_no_virtual_time(make_session: Make) -> None:
    session = make_session(cache={"simulated": True})
    request = ChatRequest.from_body({**body(), "model": "sim/gpt-4o"})
    assert (session.call(request).latency_s or 0) > 0
    assert session.call(request).latency_s == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.7},
        {"temperature": None},
        {"web_search_options": {}},
        {"modalities": ["text", "audio"]},
    ],
)
def test_what_is_drawn_or_changes_is_always_sent(
    session: Session, upstream: StubUpstream, fields: dict[str, Any]
) -> None:
    for _ in range(2):
        assert not _ask(session, **fields).cached
    assert len(upstream.requests) == 2
    assert session.cache.stats().entries == 0


def test_sampled_answers_are_kept_for_those_who_ask(
    session: Session, upstream: StubUpstream
) -> None:
    with caching(sampled=True):
        assert [_ask(session, temperature=0.7).cached for _ in range(2)] == [False, True]
        with caching("off"):
            assert not _ask(session, temperature=0.7).cached
    assert not _ask(session, temperature=0.7).cached
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=completion(choices=[])),
        *(
            Answer(
                body=completion(
                    choices=[
                        {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": how}
                    ]
                )
            )
            for said, how in (
                ({"content": "cut of"}, "length"),
                ({"content": ""}, "content_filter"),
                ({"content": None, "refusal": "No."}, "stop"),
            )
        ),
        Answer(status=500, body={"error": {"message": "broken"}}),
        Answer(status=429, body={"error": {"message": "slow down"}}),
    ],
)
def test_only_finished_answers_are_kept(
    session: Session, upstream: StubUpstream, answer: Answer
) -> None:
    upstream.script(answer)
    with contextlib.suppress(ProviderError):
        assert not _ask(session).cached
    good = _ask(session)
    assert not good.cached
    assert good.text == "Answer 1 to: What does it cost?"
    assert session.cache.stats().entries == 1


def test_streams_that_break_off_or_are_left_are_not_kept(
    session: Session, upstream: StubUpstream
) -> None:
    request = ChatRequest.from_body(body())
    upstream.script(stream(chunk("One"), done=False))
    list(session.stream(request))
    upstream.script(stream(chunk("One"), end="reset", done=False))
    with pytest.raises(ProviderError):
        list(session.stream(request))
    left = session.stream(request)
    next(left)
    left.close()  # type: ignore[attr-defined]
    assert session.cache.stats().entries == 0
    upstream.script(stream(chunk("Two"), chunk(None, "stop"), usage_chunk()))
    list(session.stream(request))
    assert session.call(request).text == "Two"
    assert len(upstream.requests) == 4


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "A", "a b", "ä"]), st.integers(0, 2)), max_size=8)
)
def test_tenants_never_mix(
    session: Session, upstream: StubUpstream, calls: list[tuple[str, int]]
) -> None:
    session.cache.clear()
    seen: set[tuple[str, int]] = set()
    before = len(upstream.requests)
    for tenant, question in calls:
        upstream._script.clear()
        upstream.script(Answer(body=completion(f"{question} for {tenant}")))
        reply = _ask(session, f"q{question}", context={"tenant": tenant})
        assert reply.text == f"{question} for {tenant}"
        assert reply.cached == ((tenant, question) in seen)
        seen.add((tenant, question))
    upstream._script.clear()
    assert len(upstream.requests) - before == len(seen)


def test_a_row_moved_to_another_tenant_is_not_served(
    session: Session, upstream: StubUpstream
) -> None:
    """Someone who can write the record puts one tenant's answer in the place of another's."""
    _ask(session, context={"tenant": "victim"})
    _ask(session, context={"tenant": "thief"})
    with session.store.transaction() as tx:
        keys = dict(tx.rows("SELECT tenant, entry_key FROM cache_entry"))  # type: ignore[arg-type]
        tx.run(
            "UPDATE cache_body SET payload = "
            "(SELECT payload FROM cache_body WHERE entry_key = ?) WHERE entry_key = ?",
            (keys["thief"], keys["victim"]),
        )
        tx.run("DELETE FROM cache_entry WHERE tenant = 'thief'")
        tx.run("UPDATE cache_entry SET tenant = 'thief' WHERE tenant = 'victim'")
        tx.run("UPDATE cache_entry SET entry_key = ?", (keys["thief"],))
    assert not _ask(session, context={"tenant": "thief"}).cached
    assert session.cache.stats().tampered == 1
    assert len(upstream.requests) == 3


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE cache_body SET payload = replace(payload, 'Answer', 'Lie')",
        "UPDATE cache_body SET payload = ''",
        "UPDATE cache_entry SET expires = expires + 1",
        "UPDATE cache_entry SET mac = ''",
        "UPDATE cache_entry SET book = 'simulated'",
        "UPDATE cache_entry SET saved_nano = 10",
    ],
)
def test_an_edited_row_is_a_miss_and_is_counted(
    session: Session, upstream: StubUpstream, edit: str
) -> None:
    _ask(session)
    with session.store.transaction() as tx:
        tx.run(edit)
    reply = _ask(session)
    assert not reply.cached
    assert reply.text == "Answer 1 to: What does it cost?"
    assert session.cache.stats().tampered == 1
    assert _ask(session).cached
    assert len(upstream.requests) == 2


def test_an_answer_expires(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session(cache={"ttl_s": 100})
    now = [1_900_000_000.0]
    session.cache.shelf.clock = lambda: now[0]
    _ask(session, "long")
    with caching(ttl_s=10):
        _ask(session, "short")
    with caching(ttl_s=10_000):  # no longer than the settings allow
        _ask(session, "longer")
    now[0] += 11
    assert [_ask(session, text).cached for text in ("long", "short", "longer")] == [
        True,
        False,
        True,
    ]
    now[0] += 100
    assert not _ask(session, "longer").cached


def test_deleting_by_tag_model_and_notebook(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session(notebook="a.ipynb")
    with caching(tags=["faq"]), caching(tags=["de"]):
        _ask(session, "one")
    _ask(session, "two", context={"notebook": "b.ipynb"})
    assert session.cache.clear(tag="en") == 0
    assert session.cache.clear(tag="de") == 1
    assert session.cache.clear(notebook="b.ipynb") == 1
    _ask(session, "one")
    assert session.cache.clear(model="stub/stub-1", tenant="default") == 1
    assert not _ask(session, "one").cached
    assert session.cache.clear() == 1


def test_a_stop_holds_for_answers_from_cache(session: Session) -> None:
    _ask(session)
    session.stop_spending("enough")
    with pytest.raises(SpendingStopped):
        _ask(session)
    session.resume_spending()
    assert _ask(session).cached


def test_a_used_up_cap_does_not_stop_what_is_free(make_session: Make) -> None:
    session = make_session(caps=[{"scope": "user", "window": "day", "usd": "0.0001"}])
    with pytest.raises(BudgetExceeded):
        for number in range(100):
            _ask(session, f"q{number}", max_tokens=5)
    assert _ask(session, "q0", max_tokens=5).cached


def test_salt_secret_and_mode(make_session: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    _ask(make_session())
    assert _ask(make_session()).cached
    assert not _ask(make_session(cache={"salt": "policy 2"})).cached
    assert not _ask(make_session(cache={"mode": "off"})).cached
    assert not _ask(make_session(capture=False)).cached  # what is said is not to be recorded
    monkeypatch.setenv("TEAM_SECRET", "correct horse battery staple")
    assert not _ask(make_session(cache={"secret_env": "TEAM_SECRET"})).cached
    assert _ask(make_session(cache={"secret_env": "TEAM_SECRET"})).cached
    assert _ask(make_session()).cached


def test_answers_with_secrets_in_them_are_not_kept(
    session: Session, upstream: StubUpstream
) -> None:
    session.secrets.register("hunter2-hunter2")
    upstream.script(Answer(body=completion("The key is hunter2-hunter2.")))
    assert "hunter2" in _ask(session).text
    assert session.cache.stats().entries == 0


def test_large_answers_are_not_kept(make_session: Make, upstream: StubUpstream) -> None:
    session = make_session(cache={"max_entry_bytes": 2_000})
    for _ in range(2):
        upstream.script(Answer(body=completion("x" * 3_000)))
        assert not _ask(session).cached
    assert session.cache.stats().entries == 0


def test_embeddings_are_kept(session: Session, upstream: StubUpstream) -> None:
    request = EmbeddingRequest.from_body({"model": "stub/stub-1", "input": ["a", "b"]})
    first, again = session.call(request), session.call(request)
    assert again == first.with_(cached=True, cost_nano=0)
    assert len(upstream.requests) == 1


def test_nothing_of_what_was_asked_is_in_keys(session: Session) -> None:
    _ask(session, "a very private question")
    rows = session.store.read("SELECT * FROM cache_entry")
    assert "private" not in json.dumps(rows)


def test_wrong_settings_are_refused(make_session: Make) -> None:
    for cache in (
        {"mode": "on"},
        {"ttl_s": 0},
        {"max_entries": 0},
        {"tll_s": 3},
        {"url": "http://x"},
    ):
        with pytest.raises(SettingsError):
            make_session(cache=cache)
    with pytest.raises(UsageProblem), caching("semantic"):  # type: ignore[arg-type]
        pass
    with pytest.raises(UsageProblem), caching(tags="faq"):
        pass
    with pytest.raises(UsageProblem), caching(ttl_s=0):
        pass


def test_over_http(session: Session) -> None:
    import urllib.request

    info = session.endpoint()

    def post() -> tuple[str, Any]:
        request = urllib.request.Request(
            f"{info.base_url}/chat/completions",
            json.dumps(body()).encode(),
            {"Authorization": f"Bearer {info.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            return response.headers["x-llmops-cached"], json.loads(response.read())

    assert post()[0] == "false"
    said, answer = post()
    assert said == "true"
    assert answer["llmops"]["usd_nano"] == 0
    assert answer["usage"]["prompt_tokens"] == 7
