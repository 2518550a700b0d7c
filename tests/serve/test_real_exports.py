"""A trained and exported model in both real engines: they read and answer as it does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from make_served import LEARNT

from llmops_kernel.errors import EngineFailed
from llmops_kernel.serve.loadtest import Goal, Load, load_test
from llmops_kernel.serve.record import names
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import key_of, stop_server
from llmops_kernel.serve.servers.wanted import Wanted
from llmops_kernel.session import Session


@pytest.fixture
def trl(trl_envs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of transformers serve."""
    monkeypatch.setenv("LLMOPS_ENVS", trl_envs)


@pytest.fixture
def llama(llama_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real llama-server."""
    monkeypatch.setenv("LLMOPS_LLAMA_SERVER", llama_server)


def answers(name: str) -> dict[str, str]:
    with Session(retries=0) as session:
        return {
            question: session.chat(
                [{"role": "user", "content": question}], model=f"local/{name}", temperature=0.0,
                max_tokens=24,
            ).text
            for question in LEARNT
        }  # fmt: skip


def test_both_engines_answer_as_the_trained_model(exported: Path, trl: None, llama: None) -> None:
    made = start_server(str(exported), engine="llama-server", name="a")
    assert made.checked == {"probes": 5, "tokens": 5, "unclear": 0, "adapter_probes": 0}
    assert answers("a") == LEARNT
    made = start_server(str(exported), engine="transformers", name="b")
    assert made.checked == {"probes": 5, "tokens": 0, "unclear": 0, "adapter_probes": 0}
    assert made.record.source == str(exported / "merged")
    assert answers("b") == LEARNT
    goal = Goal(made.record.replicas[0].url, made.record.model)
    # What it has not learnt it answers at length, and only long answers show a queue.
    loads = [Load(1, requests=3), Load(4, requests=12)]
    test = load_test(goal, loads, prompts=["a b c", "1 2 3 4", "x, y and z"], max_tokens=48)
    assert [row.completeness for row in test.rows] == [1, 1]
    # How long its answers last beside their wait is the machine's affair: it may be too little to
    # tell, but it never looks as if it batched.
    assert test.batches is not True
    assert any("batch" in note for note in test.notes)


def test_auto_prefers_llama_server(exported: Path, trl: None, llama: None) -> None:
    assert start_server(str(exported)).record.engine == "llama-server"
    stop_server("tiny")


def test_an_export_that_went_wrong_gets_no_traffic(
    exported: Path, tmp_path: Path, llama: None
) -> None:
    for change, said in (
        (lambda p: p.update(answer="Something else."), "answers otherwise"),
        (lambda p: p["ids"].insert(0, 0), "reads a prompt otherwise"),
    ):
        wrong = tmp_path / "wrong"
        shutil.rmtree(wrong, ignore_errors=True)
        shutil.copytree(exported / "gguf", wrong / "gguf")
        reference = json.loads((exported / "reference.json").read_text())
        change(reference["prompts"][1])
        (wrong / "reference.json").write_text(json.dumps(reference))
        with pytest.raises(EngineFailed, match=said) as caught:
            start_server(str(wrong), name="wrong")
        assert caught.value.hint
        assert names() == []
    made = start_server(str(wrong), name="wrong", wanted=Wanted(parity=False))
    assert made.checked["probes"] == 0
    assert key_of(made.record)
