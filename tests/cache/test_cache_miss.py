"""What a miss costs, and that an answer which waits for the next transaction is not lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, USD, body
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.budget import audit
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.errors import BudgetExceeded

Make = Callable[..., Session]
REQUEST = ChatRequest.from_body(body())
_WORKER = Path(__file__).with_name("cache_worker.py")


def _ask(session: Session, text: str, **context: Any) -> Reply:
    return session.call(ChatRequest.from_body(body(text)), **context)


@contextmanager
def _counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the transactions of a session's record; nothing is written beside the calls."""
    count = [0]
    begin = session.store._begin

    def counting() -> Any:
        count[0] += 1
        return begin()

    with monkeypatch.context() as patch:
        patch.setattr(session._housekeeping, "_write", lambda: None)
        patch.setattr(session.store, "_begin", counting)
        yield count


@pytest.mark.parametrize(("cache", "most"), [({"mode": "off"}, 1), ({"near": False}, 2), ({}, 2)])
def test_a_miss_takes_one_transaction_more_than_an_uncached_call(
    make_session: Make, monkeypatch: pytest.MonkeyPatch, cache: dict[str, Any], most: int
) -> None:
    session = make_session(cache=cache)
    _ask(session, "first")
    with _counted(session, monkeypatch) as count:
        for number in range(20):
            assert not _ask(session, f"What does card {number} cost?").cached
    # With the near-verbatim tier its look for twins takes along what was put off, now and then.
    assert count[0] <= 20 * most + (20 if cache == {} else 1)
    session.store.flush()
    if cache.get("mode") != "off":
        assert session.cache.stats().entries == 21


def test_the_next_call_of_the_process_sees_it_at_once(
    make_session: Make, monkeypatch: pytest.MonkeyPatch, upstream: StubUpstream
) -> None:
    session = make_session()
    with _counted(session, monkeypatch):
        assert [session.call(REQUEST).cached for _ in range(3)] == [False, True, True]
    assert len(upstream.requests) == 1


def test_another_kernel_sees_it_a_moment_later(make_session: Make, upstream: StubUpstream) -> None:
    one, other = make_session(), make_session()
    one.call(REQUEST)
    assert other.call(REQUEST).cached  # it waits where it comes too early
    assert len(upstream.requests) == 1


def test_a_refused_reservation_does_not_lose_it(
    make_session: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session()
    with _counted(session, monkeypatch):
        session.call(REQUEST)
        session.ledger.caps = ()
        for _ in range(5):
            with pytest.raises(BudgetExceeded):
                session.call(ChatRequest.from_body(body("dear", max_tokens=10)), max_usd_nano=1)
        assert session.call(REQUEST).cached


def test_an_answer_that_cannot_be_written_refuses_no_call(
    make_session: Make, caplog: pytest.LogCaptureFixture, upstream: StubUpstream
) -> None:
    session = make_session()
    _ask(session, "first")
    session.store.flush()
    with session.store.transaction() as tx:
        tx.run("ALTER TABLE cache_tag RENAME TO cache_tag_gone")
    for number in range(3):
        assert _ask(session, f"q{number}").cost_nano == NANO_PER_CALL
    session.store.flush()
    assert "An answer was not kept" in caplog.text
    with session.store.transaction() as tx:
        tx.run("ALTER TABLE cache_tag_gone RENAME TO cache_tag")
    assert session.cache.stats().entries == 1
    assert not _ask(session, "q0").cached  # its claim was given back all the same
    assert _ask(session, "q0").cached
    assert audit(session.store) == []


def test_an_answer_is_given_up_after_many_failed_transactions(make_session: Make) -> None:
    session = make_session()
    session.store.flush()
    waiting: list[Any] = []
    session.store.defer_work = waiting.append  # type: ignore[method-assign]
    session.call(REQUEST)
    (put,) = [each for each in waiting if type(each).__name__ == "_Waiting"]
    del session.store.defer_work  # type: ignore[attr-defined]
    for _ in range(8):
        with pytest.raises(RuntimeError), session.store.transaction() as tx:
            put(tx)
            raise RuntimeError("disk full")
    with session.store.transaction() as tx:
        put(tx)
    assert session.cache.stats().entries == 0
    for work in waiting:
        if work is not put:
            session.store.defer_work(work)


def test_a_kernel_killed_between_answer_and_record_keeps_nobody_waiting(
    upstream: StubUpstream, tmp_path: Path
) -> None:
    settings = {
        "store": f"sqlite:///{tmp_path / 'record.db'}",
        "providers": {"stub": {"base_url": upstream.base_url}},
        "prices": {"stub/stub-1": USD},
    }
    environment = {**os.environ, "LLMOPS_HOME": str(tmp_path)}
    command = [sys.executable, str(_WORKER), json.dumps(settings), json.dumps(body())]
    killed = subprocess.run([*command, "kill"], env=environment, capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert len(upstream.requests) == 1
    began = time.monotonic()
    said = json.loads(subprocess.check_output(command, env=environment, text=True))
    # Its claim died with it: nobody waits for its end, two minutes from now.
    assert time.monotonic() - began < 60
    assert said["cost_nano"] in (0, NANO_PER_CALL)
    assert len(upstream.requests) == (2 if said["cost_nano"] else 1)
    with Session(**settings) as session:  # type: ignore[arg-type]
        assert session.call(REQUEST).cached
        assert audit(session.store) == []
