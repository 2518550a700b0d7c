"""The real llama-server, built from the sdist of llama-cpp-python."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import serve_parts

from llmops_kernel.calls import ChatRequest
from llmops_kernel.cli import main
from llmops_kernel.errors import EngineFailed
from llmops_kernel.serve.loadtest import Goal, Load, load_test
from llmops_kernel.serve.record import names
from llmops_kernel.serve.servers.ready import Caller
from llmops_kernel.serve.servers.starting import add_replicas, start_server
from llmops_kernel.serve.servers.stopping import key_of, look, stop_server
from llmops_kernel.serve.servers.wanted import Wanted
from llmops_kernel.session import Session


@pytest.fixture(autouse=True)
def engine(llama_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program, for every test here."""
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", llama_server)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of random weights, as a GGUF file."""
    return serve_parts.write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(retries=0) as opened:
        yield opened


def ask(session: Session, text: str, *, stream: bool = False) -> str:
    body = {"model": "local/tiny", "messages": [{"role": "user", "content": text}],
            "max_tokens": 12, "temperature": 0}  # fmt: skip
    request = ChatRequest.from_body(body)
    if not stream:
        return session.call(request).text
    chunks = session.stream(request)
    return "".join(
        each["choices"][0]["delta"].get("content") or "" for each in chunks if each["choices"]
    )


def test_it_serves_and_every_way_gives_the_same_text(gguf: Path, session: Session) -> None:
    record = start_server(str(gguf), wanted=Wanted(slots=4, context=256)).record
    assert record.capabilities["batches"]
    text = ask(session, "Hello")
    assert len(text) == 12
    assert text.isalpha()
    assert ask(session, "Hello", stream=True) == text
    settled = [each for each in session.history(4) if each.kind == "settle"]
    assert [each.estimated for each in settled] == [False, False]
    assert stop_server("tiny")
    assert names() == []


def test_streams_one_after_the_other_all_arrive(gguf: Path, session: Session) -> None:
    """It closes a connection after a stream without saying so; no call may find it closed."""
    start_server(str(gguf), wanted=Wanted(slots=2, context=256))
    for number in range(30):
        assert len(ask(session, f"stream {number}", stream=True)) == 12
        assert len(ask(session, f"whole {number}")) == 12


def test_sixteen_clients_get_whole_answers(gguf: Path) -> None:
    record = start_server(str(gguf), wanted=Wanted(slots=16, context=256)).record
    goal = Goal(record.replicas[0].url, record.model, key_of(record))
    test = load_test(goal, [Load(1, requests=16), Load(16, requests=96)], max_tokens=96)
    assert [row.completeness for row in test.rows] == [1.0, 1.0]
    assert test.batches is not False
    # Greedy, and of one seed: a batch may round otherwise, but it may not cut.
    assert all(each.tokens == 96 for run in test.runs for each in run.samples)


def test_without_the_key_it_answers_nobody(gguf: Path) -> None:
    record = start_server(str(gguf), wanted=Wanted(slots=1, context=256)).record
    with pytest.raises(EngineFailed, match="asks for a key") as caught:
        Caller(record.replicas[0].url).complete("tiny", [{"role": "user", "content": "Hi"}])
    assert "401" in caught.value.detail


def test_a_killed_replica_is_no_error(gguf: Path, session: Session) -> None:
    start_server(str(gguf), wanted=Wanted(slots=2, context=256))
    record = add_replicas("tiny", 2)
    texts = {ask(session, f"question {number}") for number in range(3)}
    process = record.replicas[0].process
    assert process is not None
    os.killpg(process.pid, signal.SIGKILL)
    again = {ask(session, f"question {number}", stream=True) for number in range(3)}
    assert texts == again
    assert look("tiny").answering == 1


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(EngineFailed, match="ended before it answered") as caught:
        start_server(str(bad), wanted=Wanted(wait_s=30.0))
    assert "exit code 1" in caught.value.detail
    assert names() == []


def test_metrics_and_tokens_are_where_we_say(gguf: Path) -> None:
    record = start_server(str(gguf), wanted=Wanted(slots=2, context=256)).record
    root = record.replicas[0].url.removesuffix("/v1")
    headers = {"Authorization": f"Bearer {key_of(record)}"}
    request = urllib.request.Request(root + record.capabilities["metrics"], headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert b"llamacpp:prompt_tokens_total" in answer.read()
    caller = Caller(record.replicas[0].url, key_of(record))
    rendered = caller.post(record.capabilities["render"],
                           {"messages": [{"role": "user", "content": "Hi"}]})  # fmt: skip
    assert rendered["prompt"] == "<|turn|>user: Hi<|end|><|turn|>assistant: "
    tokens = caller.post(record.capabilities["tokenize"], {"content": "Hi"})["tokens"]
    assert tokens == [ord("H"), ord("i")]


def test_the_command_line(gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "start", str(gguf), "--slots", "2", "--ctx", "256", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["state"], told["kept"]) == ("tiny", "ready", True)
    key = key_of(look("tiny").record)
    assert main(["serve", "list"]) == 0
    assert main(["serve", "health", "tiny", "--json"]) == 0
    assert main(["serve", "logs", "local/tiny", "-n", "5"]) == 0
    assert main(["serve", "scale", "tiny", "2"]) == 0
    assert main(["ask", "-m", "local/tiny", "Hello", "--max-tokens", "16"]) == 0
    bench = ["serve", "bench", "tiny", "--clients", "1,4", "--requests", "8", "--max-tokens", "96"]
    assert main([*bench, "--json"]) == 0
    said = capsys.readouterr()
    assert key not in said.out + said.err
    assert '"batches": true' in said.out
    assert main(["serve", "stop", "tiny", "--json"]) == 0
    assert main(["serve", "stop", "tiny"]) == 1
    assert "No server local/tiny runs" in capsys.readouterr().err
