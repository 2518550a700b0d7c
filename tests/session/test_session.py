"""The whole path, from a question to the ledger, on the offline and simulated models."""

from __future__ import annotations

import os
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel import BudgetExceeded, Cap, Session
from llmops_kernel.budget import audit
from llmops_kernel.calls import ChatRequest, Reply, ReplyStream
from llmops_kernel.errors import (
    LLMOpsError,
    LoopDetected,
    SettingsError,
    SpendingStopped,
    UnknownModel,
    UnknownPrice,
    UsageProblem,
)

CONTEXT = "The Basic account costs 4.90 euros a month. Cards are replaced free of charge."


@pytest.fixture
def session(tmp_path: Path) -> Any:
    with Session(store=f"sqlite:///{tmp_path / 'x.db'}", user="ann") as opened:
        yield opened


def _status(session: Session, book: str = "simulated", window: str = "day") -> Any:
    return next(s for s in session.budget() if s.book == book and s.cap.window == window)


def test_the_public_api(tmp_path: Path) -> None:
    s = Session(
        store=f"sqlite:///{tmp_path / 'x.db'}", caps=[Cap(scope="user", window="day", usd=0.05)]
    )
    r = s.ask("What does the Basic account cost?", model="sim/gpt-4o", max_tokens=64)
    assert r.text
    assert r.usage.input_tokens > 0
    assert isinstance(r.usd, Decimal)
    assert r.usd > 0
    assert r.simulated
    assert not r.cached
    assert r.trace_id
    real, simulated = s.budget()
    assert (real.book, simulated.book) == ("real", "simulated")
    assert real.spent == 0
    assert simulated.spent == r.usd
    assert simulated.held == 0
    assert simulated.limit == Decimal("0.05")
    assert simulated.remaining == Decimal("0.05") - r.usd
    s.close()
    s.close()


def test_answers_come_from_the_context(session: Session) -> None:
    answer = session.ask("What does the Basic account cost?", context=CONTEXT)
    assert "4.90" in answer.text
    assert answer.usd == 0
    assert session.budget()[0].spent == 0


def test_a_loop_stops_at_the_cap_and_not_a_cent_later(tmp_path: Path) -> None:
    cap = Decimal("0.01")
    with Session(
        store=f"sqlite:///{tmp_path / 'x.db'}",
        caps=[Cap(scope="user", window="day", usd=cap)],
        breaker={"identical": 0},
    ) as s:
        spent = Decimal(0)
        with pytest.raises(BudgetExceeded) as caught:
            for _ in range(10_000):
                spent += s.ask("Go on", model="sim/gpt-4o", max_tokens=64).usd
        status = _status(s)
        assert status.spent == spent <= cap
        assert status.remaining < Decimal("0.002")
        assert "raise" in caught.value.hint
        assert audit(s.store) == []


def test_another_session_on_the_same_record_is_bound_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    caps = [Cap(scope="user", window="day", usd=Decimal("0.0015"))]
    with Session(store=url, caps=caps) as one, Session(store=url, caps=caps) as two:
        one.ask("Hi", model="sim/gpt-4o", max_tokens=64)
        with pytest.raises(BudgetExceeded):
            for _ in range(50):
                two.ask("Hi", model="sim/gpt-4o", max_tokens=64)


def test_streams_and_tools_and_many_choices(session: Session) -> None:
    request = ChatRequest.from_body(
        {
            "model": "sim/gpt-4o-mini",
            "messages": [
                {"role": "system", "content": CONTEXT},
                {"role": "user", "content": "What does the Basic account cost?"},
            ],
        }
    )
    text = "".join(
        choice["delta"].get("content") or ""
        for chunk in session.stream(request)
        for choice in chunk["choices"]
    )
    assert text == session.call(request).text
    assert len(session.call(request.with_(n=3, temperature=0.9)).choices) == 3
    tool = {
        "type": "function",
        "function": {
            "name": "get_balance",
            "description": "Look up the balance of an account",
            "parameters": {
                "type": "object",
                "properties": {"account_id": {"type": "string"}},
                "required": ["account_id"],
            },
        },
    }
    reply = session.chat(
        [{"role": "user", "content": "Look up the balance of account 4711"}],
        model="sim/gpt-4o",
        tools=[tool],
    )
    assert reply.tool_calls[0]["function"]["name"] == "get_balance"
    assert "4711" in reply.tool_calls[0]["function"]["arguments"]
    assert _status(session).held == 0
    assert audit(session.store) == []


def test_leaving_a_stream_settles_it(session: Session) -> None:
    request = ChatRequest("sim/gpt-4o", ({"role": "user", "content": "Hello there"},))
    chunks = session.stream(request)
    next(chunks)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    status = _status(session)
    assert status.held == 0
    assert status.spent > 0
    assert session.trace().span.status == "cancelled"


def test_a_cell_has_one_trace_and_one_bill(session: Session) -> None:
    session.begin_cell("cell-1")
    first = session.ask("Hi", model="sim/gpt-4o")
    second = session.ask("Ho", model="sim/gpt-4o")
    cost = session.end_cell()
    assert first.trace_id == second.trace_id
    assert cost.calls == 2
    assert cost.simulated_nano == int((first.usd + second.usd) * 10**9)
    assert (cost.real_nano, cost.virtual_seconds > 0) == (0, True)
    tree = session.trace()
    assert (tree.span.kind, tree.span.status) == ("cell", "ok")
    assert [node.span.kind for node in tree.children] == ["ask", "ask"]
    assert [node.span.kind for node in tree.children[0].children] == ["llm"]
    session.begin_cell("cell-2")
    assert session.end_cell().calls == 0
    assert session.trace().span.span_id == tree.span.span_id, "an idle cell leaves no trace"


def test_stop_and_resume(session: Session) -> None:
    assert session.stopped() is None
    session.stop_spending("lunch")
    assert session.stopped() == "lunch"
    with pytest.raises(SpendingStopped):
        session.ask("Hi")
    assert session.resume_spending()
    assert session.ask("Hi").text
    assert not session.resume_spending()


def test_set_and_raise(session: Session) -> None:
    session.set_cap(Decimal("0.0001"))
    with pytest.raises(BudgetExceeded):
        session.ask("Hi", model="sim/gpt-4o", max_tokens=64)
    session.raise_cap(Decimal("0.01"))
    assert session.ask("Hi", model="sim/gpt-4o", max_tokens=64).usd > 0


def test_a_cap_for_one_question(session: Session) -> None:
    with pytest.raises(BudgetExceeded):
        session.ask("Hi", model="sim/gpt-4o", max_tokens=1_000, max_usd="0.0001")
    assert _status(session).spent == 0


def test_the_breaker_is_on_the_path(tmp_path: Path) -> None:
    with Session(store=f"sqlite:///{tmp_path / 'x.db'}", breaker={"identical": 3}) as s:
        for _ in range(3):
            s.ask("same")
        with pytest.raises(LoopDetected):
            s.ask("same")
        assert s.trace().span.status in ("error", "refused")


@pytest.mark.parametrize(
    ("model", "error"),
    [("no-such-model", UnknownModel), ("sim/no-such-model", UnknownPrice), ("x/y", UnknownModel)],
)
def test_unknown_names_are_refused_with_a_way_out(
    session: Session, model: str, error: type[LLMOpsError]
) -> None:
    with pytest.raises((UnknownModel, UnknownPrice)) as caught:
        session.ask("Hi", model=model)
    assert "llmops.toml" in caught.value.hint or "[prices" in caught.value.sentence()


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'retries'"):
        Session(store=f"sqlite:///{tmp_path / 'x.db'}", retrys=3)


def test_many_threads_share_a_session(session: Session) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                session.ask(f"{number} {turn}", model="sim/gpt-4o", max_tokens=16)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert _status(session).held == 0
    assert audit(session.store) == []


async def test_calls_inside_another_event_loop_do_not_block_it(session: Session) -> None:
    # As in a kernel: the notebook's own loop runs while a magic waits.
    assert session.ask("Hi").text


def test_keys_are_taken_out_of_the_environment(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-live-1234567890abcdef")
    taken = session.take_over_environment(os.environ)
    assert "OPENAI_API_KEY" not in os.environ
    assert taken["OPENAI_API_KEY"].startswith("llmops-")
    assert taken["OPENAI_BASE_URL"] == taken["OPENAI_API_BASE"]
    session.ask("My key is sk-live-1234567890abcdef, is it?")
    assert "1234567890abcdef" not in str(session.store.read("SELECT * FROM span"))
    assert "1234567890abcdef" not in str(session.store.read("SELECT * FROM event"))


async def test_acall_gives_a_stream_when_asked(session: Session) -> None:
    request = ChatRequest("sim/gpt-4o", ({"role": "user", "content": "Hi"},), stream=True)
    loop = session._loop

    async def read() -> Reply:
        opened = await session.acall(request)
        assert isinstance(opened, ReplyStream)
        return await opened.collect()

    reply = loop.run(read())
    assert reply.cost_nano > 0


def test_alerts_are_shown_once(tmp_path: Path) -> None:
    with Session(store=f"sqlite:///{tmp_path / 'x.db'}") as s:
        s.set_cap(Decimal("0.001"))
        with pytest.raises(BudgetExceeded):
            for number in range(99):
                s.ask(f"Question {number}", model="sim/gpt-4o", max_tokens=32)
        shown = s.alerts()
        assert shown
        assert "%" in shown[0]
        assert s.alerts() == []


def test_a_run_can_be_held_shorter_from_inside_and_not_longer(tmp_path):
    with Session(store=f"sqlite:///{tmp_path / 'x.db'}", run_budget_usd="1.00") as session:
        session.set_cap(Decimal("0.20"), scope="run", window="total")
        limits = {s.limit for s in session.budget() if s.cap.scope == "run"}
        assert limits == {Decimal("0.2")}
        with pytest.raises(UsageProblem, match="cannot be raised"):
            session.set_cap(Decimal("1.50"), scope="run", window="total")
        with pytest.raises(UsageProblem, match="cannot be raised"):
            session.raise_cap(Decimal("0.10"), scope="run", window="total")
        with pytest.raises(BudgetExceeded):
            session.ask("Tell me", model="sim/gpt-4o", max_tokens=60_000)
