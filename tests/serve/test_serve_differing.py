"""A start that finds its server running says in what that one is not as it was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from llmops_kernel.cli import main
from llmops_kernel.display.serve import started_view
from llmops_kernel.serve.record import ServerRecord, read_record
from llmops_kernel.serve.servers import process as processes
from llmops_kernel.serve.servers.differing import differences
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.wanted import Wanted

Liar = Callable[..., Path]
FIRST = Wanted(slots=2, context=256, wait_s=20.0, usd_input=1, keep=True)


@pytest.fixture
def record(liar: Liar) -> ServerRecord:
    return start_server(str(liar()), wanted=FIRST).record


def test_the_same_again_differs_in_nothing(record: ServerRecord, liar: Liar) -> None:
    said: list[str] = []
    again = start_server(str(liar()), wanted=FIRST, say=said.append)
    assert not again.fresh
    assert again.differs == ()
    assert said == []
    left_to_us = replace(FIRST, context=0, parity=False, wait_s=9.0)
    assert differences(left_to_us, record) == ()
    port = int(record.replicas[0].url.removesuffix("/v1").rpartition(":")[2])
    assert differences(replace(FIRST, port=port), record) == ()


def test_what_was_asked_in_vain_is_told(record: ServerRecord, liar: Liar) -> None:
    said: list[str] = []
    again = start_server(str(liar()), wanted=replace(FIRST, slots=8, context=128), say=said.append)
    assert not again.fresh
    assert again.differs == ("requests at once: 2, not 8", "tokens of a request: 256, not 128")
    assert read_record("model") == record
    [line] = said
    assert "runs already" in line
    assert "requests at once: 2, not 8" in line
    assert "serve stop model" in line


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"threads": 3}, "CPU threads: of our choice, not 3"),
        ({"port": 1}, "not 1"),
        ({"idle_s": 600.0}, "stops without a call after: never, not 10 min"),
        ({"usd_input": 1.0}, ""),
        ({"usd_output": 2}, "USD per 1M output tokens: 0, not 2"),
        ({"extra": ("--a", "b")}, "further arguments: none, not --a b"),
        ({"batching": True}, "batching: not asked of the engine"),
        ({"keep": False}, "it does not end with this process"),
        ({"lora": {"area": "area@1"}}, "without the adapters area"),
    ],
)
def test_each_wish_is_compared(record: ServerRecord, change: dict[str, object], told: str) -> None:
    found = differences(replace(FIRST, **change), record)  # type: ignore[arg-type]
    assert [told in each for each in found] == ([True] if told else [])


def test_a_server_that_ends_with_another_process_is_told(record: ServerRecord) -> None:
    owned = record.with_(owner=processes.this_process())
    assert differences(FIRST, owned) == ("it ends with the process that started it",)


def test_it_is_shown() -> None:
    facts = {
        "name": "m", "engine": "llama-server", "model": "m.gguf", "slots": 2, "replicas": 1,
        "context": 256, "usd_per_1m": "free", "urls": [], "fresh": False, "ready_s": 1.0,
        "differs": ["requests at once: 2, not <8>"],
    }  # fmt: skip
    shown = started_view(facts)
    assert "Not as it was asked for: requests at once: 2, not <8>." in shown.text
    assert "not &lt;8&gt;" in shown.html
    assert "Not as" not in started_view({**facts, "differs": []}).text


def test_the_command_line_tells(
    record: ServerRecord, liar: Liar, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["serve", "start", str(liar()), "--slots", "4", "--usd-input", "1", "--json"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["differs"] == ["requests at once: 2, not 4"]
    assert "otherwise than asked" in said.err
