"""``local/NAME`` through the door: money, key, cache, and the replica that is freest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from llmops_kernel.calls import ChatRequest
from llmops_kernel.calls.catalog import Catalog
from llmops_kernel.errors import BudgetExceeded, LLMOpsError, ProviderError, UnknownModel
from llmops_kernel.serve.local import LocalServers
from llmops_kernel.serve.record import read_record, write_record
from llmops_kernel.serve.servers.attaching import attach
from llmops_kernel.serve.servers.starting import add_replicas, start_server
from llmops_kernel.serve.servers.stopping import key_of, stop_server
from llmops_kernel.serve.servers.wanted import Wanted
from llmops_kernel.session import Session
from llmops_kernel.settings import Cap, ProviderSettings, Settings

QUICK = Wanted(wait_s=20.0)
TEXT = "The fee is two dollars and fifty cents"
Liar = Callable[..., Path]


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(retries=0) as opened:
        yield opened


def ask(session: Session, text: str = "Hello", **fields: object) -> str:
    messages = [{"role": "user", "content": text}]
    return session.chat(messages, model="local/model", **fields).text


def streamed(session: Session, text: str = "Hello") -> str:
    body = {"model": "local/model", "messages": [{"role": "user", "content": text}]}
    chunks = session.stream(ChatRequest.from_body(body))
    deltas = (each["choices"][0]["delta"] for each in chunks if each["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


def kill(replica: object) -> None:
    os.killpg(replica.process.pid, signal.SIGKILL)  # type: ignore[attr-defined]


def test_a_server_is_a_model_like_any_other(liar: Liar, session: Session) -> None:
    start_server(str(liar()), wanted=QUICK)
    assert ask(session) == TEXT
    assert streamed(session) == TEXT
    assert "local/model" in session.models()
    settled = [event for event in session.history(8) if event.kind == "settle"]
    assert len(settled) == 2
    for event in settled:
        assert event.model == "local/model"
        assert event.spent_nano == 0
        assert event.book == "real"
    assert session.trace() is not None


def test_without_a_server_the_name_is_unknown(liar: Liar, session: Session) -> None:
    with pytest.raises(UnknownModel, match="No server 'local/model' runs"):
        ask(session)
    start_server(str(liar()), wanted=QUICK)
    assert ask(session) == TEXT  # seen without a new session
    stop_server("model")
    with pytest.raises(UnknownModel):
        ask(session)


def test_tokens_with_a_price_are_booked_and_capped(liar: Liar) -> None:
    start_server(str(liar()), wanted=Wanted(wait_s=20.0, usd_output=Decimal("1.25")))
    cap = Cap(scope="user", window="day", usd=Decimal("0.0001"))
    with Session(retries=0, caps=[cap]) as session:
        assert ask(session, max_tokens=8) == TEXT
        [event] = [each for each in session.history(4) if each.kind == "settle"]
        assert event.spent_nano == 8 * 1_250  # 8 tokens at $1.25 for a million
        with pytest.raises(BudgetExceeded):
            ask(session, max_tokens=80)


def test_the_key_goes_to_its_own_server_only(liar: Liar, session: Session) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    servers = session.servers
    target = servers.target("model")
    assert target is not None
    assert servers.key_of(target) is None  # no place yet
    here = replace(target, base_url=record.replicas[0].url)
    assert servers.key_of(here) == key_of(record)
    assert servers.key_of(replace(here, base_url="http://127.0.0.1:1/v1")) is None
    assert servers.key_of(replace(here, provider="openai")) is None
    assert key_of(record) not in repr(target)


def test_the_key_is_not_in_the_record(liar: Liar, session: Session) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    assert ask(session, f"my key is {key_of(record)}") == TEXT
    session.store.flush()
    root = session.trace()
    assert root is not None
    assert key_of(record) not in repr(root)


def test_the_call_that_finds_a_dead_replica_goes_to_another(liar: Liar, session: Session) -> None:
    start_server(str(liar()), wanted=QUICK)
    record = add_replicas("model", 2)
    kill(record.replicas[0])
    for number in range(4):
        assert ask(session, f"whole {number}") == TEXT
        assert streamed(session, f"stream {number}") == TEXT


@pytest.mark.parametrize("mode", ["dies", "ill"])
def test_a_replica_that_fails_at_a_call_is_passed_over(
    liar: Liar, session: Session, mode: str
) -> None:
    start_server(str(liar()), wanted=QUICK)
    liar(mode)
    record = add_replicas("model", 2)
    for number in range(4):
        assert ask(session, f"question {number}") == TEXT
    write_record(record.with_(replicas=tuple(reversed(record.replicas))))
    for number in range(4, 8):
        assert ask(session, f"question {number}") == TEXT


def test_when_all_replicas_are_dead_the_call_fails(liar: Liar, session: Session) -> None:
    start_server(str(liar()), wanted=Wanted(wait_s=20.0, keep=True))
    for each in add_replicas("model", 2).replicas:
        kill(each)
    with pytest.raises(ProviderError) as caught:
        ask(session)
    assert not caught.value.dispatched


def test_a_refused_request_is_not_sent_twice(liar: Liar, session: Session) -> None:
    start_server(str(liar()), wanted=QUICK)
    record = add_replicas("model", 2)
    # Another key: both would refuse it, and the first refusal is the answer.
    from llmops_kernel.serve.record import KEY, folder_of, write_private

    write_private(folder_of("model") / KEY, "sk-local-another\n")
    with pytest.raises(LLMOpsError, match="refused the key"):
        ask(session)
    assert len(record.replicas) == 2


def test_calls_are_spread_by_what_is_in_flight(liar: Liar, session: Session) -> None:
    """Eight slow streams at once over two replicas: four each."""
    start_server(str(liar(pause=0.1)), wanted=QUICK)
    record = add_replicas("model", 2)
    dispatcher = _local_door(session)

    async def many() -> list[int]:
        streams = []
        for number in range(8):
            body = {"model": "local/model", "stream": True,
                    "messages": [{"role": "user", "content": f"question {number}"}]}  # fmt: skip
            streams.append(await session.acall(ChatRequest.from_body(body)))
        busy = [dispatcher.in_flight(each.url) for each in record.replicas]
        await asyncio.gather(*(each.collect() for each in streams))  # type: ignore[union-attr]
        return busy

    assert session._loop.run(many()) == [4, 4]
    assert [dispatcher.in_flight(each.url) for each in record.replicas] == [0, 0]


def _local_door(session: Session):  # type: ignore[no-untyped-def]
    """Return the door of local servers at the end of the session's path."""
    handler = session._path
    while not hasattr(handler, "_local"):
        handler = getattr(handler, "_next", None) or handler.following
    return handler._local["local"]


def test_answers_are_cached_under_the_weights_not_the_port(liar: Liar, tmp_path: Path) -> None:
    model = liar()
    for expected in (False, True):
        start_server(str(model), wanted=QUICK)
        with Session(retries=0) as session:
            reply = session.chat([{"role": "user", "content": "Hi"}], model="local/model",
                                 temperature=0.0)  # fmt: skip
            assert bool(reply.cached) is expected
        stop_server("model")
    model.write_bytes(b"GGUF, other weights")
    start_server(str(model), wanted=QUICK)
    with Session(retries=0) as session:
        reply = session.chat([{"role": "user", "content": "Hi"}], model="local/model",
                             temperature=0.0)  # fmt: skip
        assert not reply.cached


def test_a_configured_provider_named_local_still_works(liar: Liar) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    url = record.replicas[0].url
    provider = ProviderSettings(base_url=url, free=True, headers={"Authorization": "$OPEN"})
    settings = Settings.load({"providers": {"local": provider.model_dump()}})
    servers = LocalServers()
    catalog = Catalog(settings, has_key=lambda _: False, served=servers.target)
    assert catalog.resolve("local/model").base_url.startswith("local://")
    assert catalog.resolve("local/other").base_url == url


def test_a_server_ends_with_its_session(liar: Liar) -> None:
    with Session(retries=0) as session:
        start_server(str(liar()), wanted=QUICK)
        session.servers.own("model")
    assert LocalServers().names() == []
    with Session(retries=0) as session:
        start_server(str(liar()), wanted=Wanted(wait_s=20.0, keep=True))
        session.servers.own("model")
    assert LocalServers().names() == ["model"]


def test_a_child_of_a_kernel_calls_through_the_kernels_door(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a subprocess spends on a local server is metered where the caps are."""
    start_server(str(liar()), wanted=QUICK)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "llmops-door-of-a-kernel")
    with Session(retries=0) as session:
        target = session.catalog.resolve("local/model")
    assert target.base_url == "http://127.0.0.1:9/v1"
    assert target.model == "local/model"


def test_an_attached_server_is_called_with_its_own_key(
    liar: Liar, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = start_server(str(liar()), wanted=QUICK).record
    monkeypatch.setenv("MY_SERVER_KEY", key_of(record))
    made = attach("model-2", record.replicas[0].url, key_env="MY_SERVER_KEY")
    assert made.record.model == "model"
    assert made.record.attached
    reply = session.chat([{"role": "user", "content": "Hi"}], model="local/model-2")
    assert reply.text == TEXT
    assert key_of(record) not in str(read_record("model-2"))
    stop_server("model-2")
    assert ask(session, "still there") == TEXT  # forgetting it stopped nothing
