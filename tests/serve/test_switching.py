"""Adapters of a vLLM, started and attached, on its wire format: a stub answers in its place."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmops_kernel.cli import main
from llmops_kernel.errors import EngineFailed, LLMOpsError, UsageProblem
from llmops_kernel.finetune.registry import Registry, Version
from llmops_kernel.serve.record import read_record
from llmops_kernel.serve.servers.attaching import attach
from llmops_kernel.serve.servers.process import free_port
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.stopping import stop_server
from llmops_kernel.serve.servers.wanted import Wanted
from llmops_kernel.serve.switching import adapters_loaded, load_adapters, unload_adapters
from llmops_kernel.session import Session

_STUB = Path(__file__).with_name("vllm_stub.py")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """A registered base with two registered adapters, as files that are no weights."""
    program = tmp_path / "vllm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_STUB}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("LLMOPS_VLLM", str(program))
    merged = tmp_path / "exports" / "merged"
    merged.mkdir(parents=True)
    (merged / "config.json").write_text('{"dtype": "bfloat16"}')
    (merged / "model.safetensors").write_bytes(bytes(8))
    record = {"data": {"sha256": "0" * 64}, "task": "chat"}
    base = Registry().register(
        "base", merged.parent, {**record, "config": {"name": "base"}, "base": "nothing"}
    )
    for name in ("area", "tone"):
        adapter = tmp_path / name / "adapter"
        adapter.mkdir(parents=True)
        (adapter / "adapter_config.json").write_text(json.dumps({"name": name}))
        Registry().register(
            name, adapter.parent,
            {**record, "config": {"name": name}, "base": "base",
             "base_folder": str(base.path("merged"))},
        )  # fmt: skip
    return base


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(retries=0) as opened:
        yield opened


def ask(session: Session, model: str) -> str:
    messages = [{"role": "user", "content": "Who are you?"}]
    return session.chat(messages, model=model, temperature=0.0).text


def started(**lora: str) -> None:
    start_server("base", engine="vllm", wanted=Wanted(wait_s=20.0, context=64, lora=lora))


def test_a_server_is_started_with_adapters(base: Version, session: Session) -> None:
    started(area="area")
    record = read_record("base")
    assert record.capabilities["lora"] == "model in each request"
    assert record.file_type == "bfloat16"
    assert ask(session, "local/base") == "by base"
    assert ask(session, "local/base:area") == "by area"
    assert [each["loaded"] for each in adapters_loaded("base")["adapters"]] == [True]


def test_adapters_come_and_go_while_it_runs(base: Version, session: Session) -> None:
    started(area="area")
    load_adapters("base", {"mood": "tone"})
    assert ask(session, "local/base:mood") == "by mood"
    seen = adapters_loaded("base")["adapters"]
    assert [(each["name"], each["loaded"]) for each in seen] == [("area", True), ("mood", True)]
    unload_adapters("base", ["area"])
    with pytest.raises(LLMOpsError):
        ask(session, "local/base:area")  # answered from no cache either
    assert ask(session, "local/base:mood") == "by mood"
    unload_adapters("base", ["mood"])
    assert read_record("base").capabilities["lora"] == ""
    assert read_record("base").start["wanted"]["lora"] == {}


def test_another_adapter_under_a_name_is_asked_anew(base: Version, session: Session) -> None:
    started(x="area")
    ask(session, "local/base:x")
    assert ask(session, "local/base:x") == "by x"
    assert len([each for each in session.history(9) if each.kind == "settle"]) == 1
    unload_adapters("base", ["x"])
    load_adapters("base", {"x": "tone"})
    ask(session, "local/base:x")
    assert len([each for each in session.history(9) if each.kind == "settle"]) == 2


def test_what_cannot_be_loaded_is_refused(base: Version, tmp_path: Path) -> None:
    started(area="area")
    with pytest.raises(UsageProblem, match="of that name already"):
        load_adapters("base", {"area": "tone"})
    with pytest.raises(UsageProblem, match="did you mean 'area'"):
        unload_adapters("base", ["aera"])
    with pytest.raises(UsageProblem, match="trained on another base"):
        load_adapters("base", {"self": "base"})
    config = Registry().get("tone").folder / "adapter" / "adapter_config.json"
    config.unlink()
    with pytest.raises(EngineFailed, match="refused to change") as caught:
        load_adapters("base", {"tone": "tone"})
    assert "No adapter at" in caught.value.detail
    assert [each.name for each in read_record("base").adapters] == ["area"]


def test_a_vllm_of_others(
    base: Version, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port(0)
    url = f"http://127.0.0.1:{port}/v1"
    model = str(base.path("merged"))
    command = [sys.executable, str(_STUB), "serve", model, "--port", str(port),
               "--served-model-name", "org/base"]  # fmt: skip
    for allowed in ("0", "1"):
        with subprocess.Popen(command, env={"VLLM_ALLOW_RUNTIME_LORA_UPDATING": allowed}) as stub:
            try:
                _wait(url)
                attach("theirs", url)
                if allowed == "0":
                    assert main(["serve", "lora", "theirs", "--load", "area"]) == 1
                    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1" in capsys.readouterr().err
                    assert read_record("theirs").adapters == ()
                    continue
                assert main(["serve", "lora", "theirs", "--load", "area", "--json"]) == 0
                [one] = json.loads(capsys.readouterr().out)["adapters"]
                assert (one["name"], one["loaded"]) == ("area", True)
                assert ask(session, "local/theirs:area") == "by area"
                assert main(["serve", "lora", "theirs", "--unload", "area"]) == 0
                assert "has no adapters" in capsys.readouterr().out
            finally:
                stop_server("theirs")
                stub.terminate()


def _wait(url: str) -> None:
    import time

    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the stub did not start")
