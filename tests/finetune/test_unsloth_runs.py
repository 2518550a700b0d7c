"""Unsloth for real: whole runs in its own environment, beside the same ones with TRL."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import spec_text
from side_env import need_trl
from unsloth_env import HERE, need_unsloth, program

from llmops_kernel import envs
from llmops_kernel.finetune import read_spec, resume, start
from llmops_kernel.finetune.export.llama import find_server
from llmops_kernel.finetune.registry import Registry

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune

_LONG = 300.0


@pytest.fixture(autouse=True)
def python() -> Path:
    """The interpreter with Unsloth, on a CPU: there its losses are TRL's."""
    found = need_unsloth()
    need_trl()
    if envs.has_gpu():
        pytest.skip("there is a GPU: Unsloth does not take its way for a CPU")
    return found


def begun(
    base: Path, data: Path, name: str, python: Path | None = None, **options: Any
) -> FineTune:
    backend = f"name: unsloth, python: {python}" if python else "name: unsloth"
    text = spec_text(base, data, **options).replace("threads: 1", f"threads: 1, {backend}")
    return start(read_spec(text), name)


def events(run: FineTune) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.folder.events.read_text().splitlines()]


def harmless(what: str, run: FineTune, hub: Path) -> bool:
    """Whether what was written is the run's own, the hub's folder's, or a temporary file."""
    path = Path(what)
    own = [run.folder.path.resolve(), hub.resolve(), Path("/dev"), Path("/proc")]
    if "__pycache__" in path.parts or any(each in (path, *path.parents) for each in own):
        return True
    temporary = Path(tempfile.gettempdir()).resolve()
    # This test's own folders are temporary ones as well, and not meant.
    return path == temporary or (
        temporary in path.parents and "pytest" not in path.relative_to(temporary).parts[0]
    )


def test_adapters_from_rows_to_the_registry(
    trained_base: Path, data: Path, tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = tmp_path / "probe.jsonl"
    probe.write_text('{"prompt": "Please block it now"}\n')
    asked = (
        f"eval: {{prompts: {probe}, gate: {{eval_loss_not_worse: true}}}}\n"
        "train: {epochs: 2, lr: 1.0e-3}\nlimits: {wall: 5m, memory: 8GiB}\n"
    )
    more = asked + 'export: [adapter, merged, "gguf:q8_0", ollama-modelfile]\nregister: router'
    log = tmp_path / "watched.jsonl"
    watched = program(tmp_path / "python", python, script=HERE / "watched_worker.py")
    with monkeypatch.context() as patch:
        patch.setenv("WATCHED_LOG", str(log))
        patch.setenv("UNSLOTH_AUTO_INSTALL", "1")  # as a person's shell may have it
        patch.setenv("HF_HOME", str(tmp_path / "hf"))
        run = begun(trained_base, data, "router", watched, method="lora", more=more)
        outcome = run.wait(_LONG)
    assert outcome["state"] == "done", (outcome, run.log())

    told = [event["event"] for event in events(run)]
    assert (told[0], told[-1]) == ("begin", "done")
    for kind in ("preflight", "eval", "train", "step", "sample", "answers", "export", "parity",
                 "registered"):  # fmt: skip
        assert kind in told
    assert told.index("preflight") < told.index("train") < told.index("export")
    progress, metrics = run.progress, run.trained["metrics"]
    assert progress.step == progress.steps == metrics["steps"]
    assert metrics["eval_loss"] < metrics["base_eval_loss"]
    assert progress.estimate is not None
    assert 0 < progress.memory <= 1.5 * progress.estimate[1]
    found = json.loads(run.folder.preflight.read_text())
    assert {check["state"] for check in found["checks"]} == {"ok"}, found["checks"]

    version = Registry().get("router")
    assert outcome["version"]["ref"] == version.ref
    assert "unsloth==" in version.read("env.lock")
    assert (version.folder / "merged" / "model.safetensors").is_file()
    assert (version.folder / "Modelfile").is_file()
    unsafe = [p for p in version.folder.rglob("*") if p.suffix in (".bin", ".pt", ".pkl", ".pth")]
    assert unsafe == []
    exports = {each["export"]: each for each in run.trained["exports"]}
    assert exports["gguf:q8_0"]["written_by"] == "own writer"
    assert exports["merged"]["max_logit_difference"] < 1e-3
    parity = json.loads((version.folder / "parity.json").read_text())
    assert parity["ok"] or not find_server(), parity

    # It starts no program but the engine of the parity test, which is all it speaks to, and
    # writes into the run's folder and to temporary files alone.
    noted = [json.loads(line) for line in log.read_text().splitlines()]
    engine = str(find_server())
    assert [what for kind, what in noted if kind == "program" and what != engine] == []
    hosts = {what for kind, what in noted if kind == "network"}
    assert all("127.0.0.1" in host for host in hosts), hosts
    written = {what for kind, what in noted if kind == "write"}
    assert any(what.startswith(str(run.folder.path.resolve())) for what in written)
    assert {what for what in written if not harmless(what, run, tmp_path / "hf")} == set()

    text = spec_text(trained_base, data, method="lora", more=asked)
    beside = start(read_spec(text), "beside")
    assert beside.wait(_LONG)["state"] == "done", beside.log()
    assert dict(progress.train_loss) == pytest.approx(dict(beside.progress.train_loss), rel=1e-3)
    assert metrics["eval_loss"] == pytest.approx(beside.trained["metrics"]["eval_loss"], rel=1e-3)
    assert metrics["tokens"] == beside.trained["metrics"]["tokens"]


def test_a_base_trained_whole_can_be_stopped_and_resumed(random_base: Path, data: Path) -> None:
    more = "train: {max_steps: 150, lr: 2.0e-3, save_every: 20, eval_every: 50}"
    run = begun(random_base, data, "whole", more=more)
    beside = start(read_spec(spec_text(random_base, data, more=more)), "beside")
    end = time.monotonic() + _LONG
    while run.progress.step < 30:
        assert run.state == "running", (run.outcome, run.log())
        assert time.monotonic() < end
        time.sleep(0.05)
    run.stop()
    outcome = run.wait(_LONG)
    assert (outcome["state"], outcome["reason"]) == ("stopped", "asked"), run.log()
    assert run.folder.checkpoint() is not None

    run = resume(run)
    assert run.wait(_LONG)["state"] == "done", run.log()
    assert beside.wait(_LONG)["state"] == "done", beside.log()
    assert run.progress.resumed >= 30
    mine, trls = run.trained["metrics"], beside.trained["metrics"]
    assert mine["base_eval_loss"] == pytest.approx(trls["base_eval_loss"], rel=1e-4)
    assert mine["eval_loss"] == pytest.approx(trls["eval_loss"], rel=1e-2)
    assert mine["eval_loss"] < 0.5 * mine["base_eval_loss"]
    config = json.loads((run.folder.final / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert not run.folder.checkpoints.exists()


def test_adapters_on_four_bits(trained_base: Path, data: Path) -> None:
    more = "train: {max_steps: 8, lr: 1.0e-3}\nexport: [merged]\nregister: quarter"
    run = begun(trained_base, data, "quarter", method="qlora", more=more)
    outcome = run.wait(_LONG)
    assert outcome["state"] == "done", (outcome, run.log())
    assert run.progress.steps == 8
    assert run.trained["metrics"]["eval_loss"] < 1.0
    found = json.loads(run.folder.preflight.read_text())
    assert found["figures"]["precision"] == "bf16"
    adapter = json.loads((run.folder.final / "adapter_config.json").read_text())
    assert any(name.endswith("gate_proj") for name in adapter["target_modules"])
    assert "embed_tokens" in adapter["modules_to_save"]
    (merged,) = run.trained["exports"]
    # Merged into the base as it was before it was quantised.
    assert merged["dtype"] == "float32"
    assert (Registry().get("quarter").folder / "merged" / "model.safetensors").is_file()
