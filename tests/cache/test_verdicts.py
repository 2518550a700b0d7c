"""Verdicts switch a tier off as soon as they break its bound, and on when they do not any more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from cache_desk import body
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache.semantic.evidence import Evidence, Verdict, wilson
from llmops_kernel.calls import ChatRequest
from llmops_kernel.cli import _cache as verbs
from llmops_kernel.store.hit_rows import HitRow

FIRST = "How do I block my card?"
Make = Callable[..., Session]


@pytest.fixture
def session(make_session: Make) -> Session:
    return make_session()


def _ask(session: Session, text: str) -> str:
    return session.call(ChatRequest.from_body(body(text))).tier


def _hits(session: Session, count: int) -> list[int]:
    """Serve so many near repeats, and return their numbers."""
    _ask(session, FIRST)
    manners = itertools.product(("", "hi, ", "hello ", "please, "), ("", " thanks", "!", "  "))
    for before, after in itertools.islice(manners, 1, count + 1):
        assert _ask(session, f"{before}{FIRST}{after}") == "near_verbatim"
    session.store.flush()
    return [hit.number for hit in session.cache.audit(tenant="default", limit=None).hits]


def _judge(session: Session, number: int, right: bool) -> None:
    assert session.cache.judge(number, right=right, tenant="default")


def _is_off(session: Session) -> bool:
    return session.cache.watch.is_off("default", "near_verbatim")


def test_one_wrong_of_one_breaks_the_bound_and_says_the_way_back(
    session: Session, upstream: StubUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    assert wilson(1, 1).low > 0.2  # far above the bound of 1 %
    (number,) = _hits(session, 1)
    _judge(session, number, right=False)
    assert _is_off(session)
    for said in (caplog.text, *session.cache.broken("default"), verbs.stats_of(session)[2][-1]):
        assert "%cache tune --restart" in said
        assert "corrected verdict" in said
    request = ChatRequest.from_body(body(f"hello {FIRST}"))
    target = session.catalog.resolve(request.model)
    reason = session.cache.explain(request, target, session.context()).reason
    assert "%cache audit --right NUMBER" in reason


def test_a_corrected_verdict_switches_it_on_again(
    session: Session, make_session: Make, upstream: StubUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    (number,) = _hits(session, 1)
    verbs.audited(session, 20, wrong=[number])
    assert _ask(session, f"Hello! {FIRST}") == ""
    verbs.audited(session, 20, right=[number])
    assert not _is_off(session)
    assert session.cache.broken("default") == []
    assert "near-verbatim tier is on again" in caplog.text
    assert _ask(session, f"Hey, {FIRST}") == "near_verbatim"
    assert _ask(make_session(), f"Hey hey, {FIRST}") in ("near_verbatim", "")


def test_a_correction_that_leaves_it_broken_leaves_it_off(
    session: Session, upstream: StubUpstream
) -> None:
    one, other, *_ = _hits(session, 2)
    _judge(session, one, right=False)
    _judge(session, other, right=False)
    _judge(session, one, right=True)
    assert Evidence(2, 1).verdict(0.01) is Verdict.BROKEN
    assert _is_off(session)


def test_a_model_switches_nothing_on_and_overrules_no_person(
    session: Session, upstream: StubUpstream
) -> None:
    one, other, *_ = _hits(session, 2)
    _judge(session, one, right=False)
    watch = session.cache.watch
    assert watch.judge("default", one, right=True, by="openai/judge")
    assert _is_off(session)
    (hit,) = [hit for hit in session.cache.audit(tenant="default").hits if hit.number == one]
    assert (hit.right, hit.judged_by) == (False, "person")
    verbs.tuned(session, restart=["near-verbatim"])
    assert watch.judge("default", other, right=False, by="openai/judge")
    assert not watch.judge("default", 10_000, right=False)


def test_verdicts_from_before_a_restart_switch_nothing(
    make_session: Make, upstream: StubUpstream
) -> None:
    session = make_session()
    old, *_ = _hits(session, 1)
    _judge(session, old, right=False)
    verbs.tuned(session, restart=["near-verbatim"])
    assert _ask(session, f"Hey, {FIRST}") == "near_verbatim"
    session.store.flush()
    new = session.cache.audit(tenant="default", limit=1).hits[0].number
    assert new != old
    _judge(session, new, right=False)
    _judge(session, old, right=True)
    assert _is_off(session)
    _judge(session, new, right=True)
    assert not _is_off(session)


def test_nothing_is_audited_once_it_is_told_to_stop(
    make_session: Make, upstream: StubUpstream
) -> None:
    session = make_session(cache={"audit_share": 1.0, "judge_usd": "1"})
    _hits(session, 1)
    session._loop.run(session.cache.watch.settled())
    asked = len(upstream.requests)
    assert asked == 2  # the first call, and the audit of what was served from it
    session._loop.run(session.cache.stop_asking())
    assert _ask(session, f"Hey, {FIRST}") == "near_verbatim"
    session._loop.run(session.cache.stop_asking())
    session._loop.run(session.cache.watch.settled())
    assert len(upstream.requests) == asked


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(verdicts=st.lists(st.booleans(), min_size=1, max_size=40), order=st.randoms())
def test_a_persons_verdicts_count_the_same_in_every_order(
    session: Session, verdicts: list[bool], order: Any
) -> None:
    watch, store = session.cache.watch, session.store
    with store.transaction() as tx:
        tx.run("DELETE FROM cache_hit")
        tx.run("DELETE FROM cache_tier")
        for number in range(len(verdicts)):
            row = HitRow(number, f"c{number}", "k", "default", "m", "", "[]", "a", "b", "",
                         "near_verbatim")  # fmt: skip
            tx.run(
                f"INSERT INTO cache_hit ({', '.join(HitRow._fields)}) "
                f"VALUES ({', '.join('?' for _ in row)})",
                row,
            )
    numbers = [hit.number for hit in session.cache.audit(tenant="default", limit=None).hits]
    said = [*zip(numbers, verdicts, strict=True)]
    order.shuffle(said)
    for number, right in said:
        assert watch.judge("default", number, right=right)
    final = Evidence(len(verdicts), verdicts.count(False)).verdict(session.cache.settings.target)
    assert _is_off(session) == (final is Verdict.BROKEN)
