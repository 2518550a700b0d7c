"""Whole runs in processes of their own: to the registry, broken off, stopped, refused, failed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from finetune_rows import rows, spec_text, write_rows

from llmops_kernel.errors import MissingEnvironment, RunFailed, SettingsError, UsageProblem
from llmops_kernel.finetune import find_run, list_runs, read_spec, resume, start
from llmops_kernel.finetune.launch import variables
from llmops_kernel.finetune.registry import Registry
from llmops_kernel.finetune.runs import FineTune, raise_unless_done
from llmops_kernel.finetune.worker.__main__ import classified
from llmops_kernel.processes import process_start

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("trl")
_LONG = 240.0


def started(base: Path, data: Path, name: str = "model", **options: Any) -> FineTune:
    return start(read_spec(spec_text(base, data, **options)), name)


def events(run: FineTune) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.folder.events.read_text().splitlines()]


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def at_step(run: FineTune, step: int) -> Callable[[], bool]:
    def reached() -> bool:
        assert run.state == "running", (run.outcome, run.log())
        return run.progress.step >= step

    return reached


def gone(pid: int, start_time: str) -> bool:
    return process_start(pid) != start_time


def test_a_run_from_rows_to_the_registry(trained_base: Path, data: Path, tmp_path: Path) -> None:
    probe = tmp_path / "probe.jsonl"
    probe.write_text('{"prompt": "Please block it now"}\n')
    more = (
        f"eval: {{prompts: {probe}, gate: {{eval_loss_not_worse: true}}}}\n"
        "export: [adapter, merged]\nregister: router\n"
        "limits: {wall: 5m, memory: 8GiB}"
    )
    run = started(trained_base, data, method="lora", more=more)
    outcome = run.wait(_LONG)
    assert outcome["state"] == "done", (outcome, run.log())
    raise_unless_done(run)

    told = [event["event"] for event in events(run)]
    assert told[0] == "begin"
    assert told[-1] == "done"
    for kind in ("preflight", "eval", "train", "step", "sample", "export", "registered"):
        assert kind in told
    assert told.index("preflight") < told.index("train") < told.index("export")

    progress, metrics = run.progress, run.trained["metrics"]
    assert progress.step == progress.steps == metrics["steps"]
    assert progress.eval_loss[0][0] == 0
    assert metrics["eval_loss"] <= metrics["base_eval_loss"]
    assert metrics["answers"]["answered"] == 12
    assert progress.estimate is not None
    assert 0 < progress.memory <= 1.5 * progress.estimate[1]

    found = json.loads(run.folder.preflight.read_text())
    assert found["verdict"] in ("ok", "warn")
    names = [check["name"] for check in found["checks"]]
    for name in ("data", "template", "truncation", "labels", "end token", "memory", "dry run",
                 "time and cost", "exports"):  # fmt: skip
        assert name in names
    learnt = "".join(text for text, on in found["view"][0]["tokens"] if on)
    assert learnt.removesuffix("<|im_end|>") in ("card", "transfer", "loan")
    # A small base's embeddings are trained beside the adapters, else there is little to gain.
    adapter = json.loads((run.folder.final / "adapter_config.json").read_text())
    assert "embed_tokens" in adapter["modules_to_save"]

    version = Registry().get("router")
    assert outcome["version"]["ref"] == version.ref
    assert version.metrics["eval_loss"] == metrics["eval_loss"]
    assert (version.folder / "merged" / "config.json").is_file()
    unsafe = [p for p in version.folder.rglob("*") if p.suffix in (".bin", ".pt", ".pkl", ".pth")]
    assert unsafe == []
    assert "torch==" in version.read("env.lock")
    process = run.folder.read_process()
    assert process is not None
    until(lambda: gone(process["pid"], process["start"]))
    assert gone(process["worker_pid"], process["worker_start"])
    assert list_runs("model")[0].run_id == run.run_id
    assert find_run("model").run_id == find_run(f"model/{run.run_id}").run_id == run.run_id
    # What is done cannot be resumed; the next run of the name can be started at once.
    with pytest.raises(UsageProblem, match="cannot be resumed"):
        resume(run)


def test_a_run_can_be_broken_off_in_every_way_and_ends_the_same(
    random_base: Path, data: Path
) -> None:
    more = "train: {max_steps: 400, lr: 1.0e-3, save_every: 20, eval_every: 100}"
    whole = started(random_base, data, "whole", more=more)
    run = started(random_base, data, "broken", more=more)

    with pytest.raises(UsageProblem, match="under way"):
        started(random_base, data, "broken")
    with pytest.raises(UsageProblem, match="cannot be resumed"):
        resume(run)

    until(at_step(run, 50))
    process = run.folder.read_process()
    assert process is not None
    os.kill(process["worker_pid"], signal.SIGKILL)
    outcome = run.wait(_LONG)
    assert (outcome["state"], outcome["detail"]) == ("interrupted", "SIGKILL")
    assert "resume" in outcome["hint"]
    with pytest.raises(RunFailed, match="was interrupted"):
        raise_unless_done(run)

    run = resume(run)
    until(at_step(run, 90))
    assert run.progress.resumed >= 40
    process = run.folder.read_process()
    assert process is not None
    os.kill(process["pid"], signal.SIGKILL)
    until(lambda: run.state == "interrupted")
    until(lambda: gone(process["worker_pid"], process["worker_start"]))  # no orphan

    run = resume(run)
    until(at_step(run, 130))
    run.stop()
    outcome = run.wait(_LONG)
    assert (outcome["state"], outcome["reason"]) == ("stopped", "asked")
    assert run.folder.checkpoint() is not None
    assert Registry().names() == []

    run = resume(run)
    assert run.wait(_LONG)["state"] == "done", run.log()
    assert whole.wait(_LONG)["state"] == "done", whole.log()
    mine, other = run.trained["metrics"], whole.trained["metrics"]
    assert mine["eval_loss"] == pytest.approx(other["eval_loss"], rel=1e-3)
    assert mine["base_eval_loss"] == other["base_eval_loss"]
    assert run.progress.train_loss[-1] == pytest.approx(whole.progress.train_loss[-1], rel=1e-3)
    assert [step for step, _ in run.progress.eval_loss] == [0, 100, 200, 300, 400]
    assert not run.folder.checkpoints.exists()


def test_adapters_on_random_weights_are_refused(random_base: Path, data: Path) -> None:
    run = started(random_base, data, method="lora", more="preflight: {on_fail: warn}")
    outcome = run.wait(_LONG)
    assert outcome["state"] == "refused", run.log()
    assert outcome["reason"] == "LoRA cannot teach a base with random weights"
    assert "method: full" in outcome["hint"]
    assert not run.folder.final.exists()
    with pytest.raises(RunFailed, match="LoRA cannot teach"):
        raise_unless_done(run)


def test_only_the_checks(random_base: Path, data: Path) -> None:
    text = spec_text(random_base, data, more="register: nothing")
    run = start(read_spec(text), "model", only_preflight=True)
    assert run.wait(_LONG)["state"] == "checked", run.log()
    assert run.folder.preflight.exists()
    assert not run.folder.final.exists()
    assert Registry().names() == []
    raise_unless_done(run)


def test_a_worse_model_is_not_registered(trained_base: Path, data: Path) -> None:
    more = (
        "train: {epochs: 2, lr: 5.0, warmup_steps: 0}\n"
        "eval: {gate: {eval_loss_not_worse: true}}\nregister: worse"
    )
    run = started(trained_base, data, more=more)
    outcome = run.wait(_LONG)
    assert outcome["state"] == "rejected", (outcome, run.log())
    assert "after" in outcome["detail"]
    assert Registry().names() == []
    assert run.folder.final.exists()


def test_too_little_memory(random_base: Path, data: Path) -> None:
    going_on = "limits: {memory: 250MiB}\npreflight: {on_fail: warn}"
    run = started(random_base, data, more=going_on)
    outcome = run.wait(_LONG)
    assert (outcome["state"], outcome["reason"]) == ("failed", "out of memory"), outcome
    assert "limits.memory" in outcome["detail"]


def test_the_wall_limit(random_base: Path, data: Path) -> None:
    long = "train: {epochs: 5000}\nlimits: {wall: 12s}"
    run = started(random_base, data, more=long + "\npreflight: {on_fail: warn}")
    outcome = run.wait(_LONG)
    assert (outcome["state"], outcome["reason"]) == ("stopped", "wall limit"), outcome


def test_a_full_disk_is_told(random_base: Path, data: Path, tmp_path: Path) -> None:
    """On a disk of its own, too small for the checkpoints."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1600k", "tmpfs", str(disk)],
        capture_output=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        more = "train: {max_steps: 60, save_every: 10}\npreflight: {on_fail: warn}"
        run = start(read_spec(spec_text(random_base, data, more=more)), "full", home=disk)
        outcome = run.wait(_LONG)
        assert (outcome["state"], outcome["reason"]) == ("failed", "disk full"), run.log()
        assert "resume" in outcome["hint"]
        process = run.folder.read_process()
        assert process is not None
        until(lambda: gone(process["pid"], process["start"]))
    finally:
        until(lambda: subprocess.run(["umount", str(disk)], check=False).returncode == 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "disk full"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "disk full"),
        (MemoryError(), "out of memory"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate "
                      "memory: you tried to allocate 9 bytes"), "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory"),
        (ValueError("shapes differ"), "the training failed"),
        (OSError(2, "No such file"), "the training failed"),
    ],
)  # fmt: skip
def test_failures_are_told_apart(error: BaseException, reason: str) -> None:
    assert classified(error).reason == reason


def test_the_worker_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("DB_PASSWORD", "x")
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    given = variables("trl", 3)
    assert "OPENAI_API_KEY" not in given
    assert "DB_PASSWORD" not in given
    assert given["HF_TOKEN"] == "hf_1"
    assert given["OMP_NUM_THREADS"] == "3"
    assert given["HF_HUB_OFFLINE"] == "1"
    assert given["PYTHONPATH"] != "/nowhere"


def test_what_cannot_be_started(
    random_base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("", "../up", ".hidden", "a/b", "x" * 65):
        with pytest.raises(UsageProblem, match="cannot be a model's name"):
            started(random_base, data, name)
    with pytest.raises(UsageProblem, match="no such base"):
        started(tmp_path / "nowhere", data)
    with pytest.raises(UsageProblem, match=r"no config\.json"):
        started(tmp_path, data)
    with pytest.raises(UsageProblem, match="no model"):
        start(read_spec(f"base: unknown-model\ndata: {{path: {data}}}"), "model")
    with pytest.raises(UsageProblem, match="no interpreter"):
        text = f"base: {random_base}\ndata: {{path: {data}}}\nbackend: {{python: /no/python}}"
        start(read_spec(text), "other")
    price = "limits: {cost: 1.0, gpu_hour_usd: 2.5, wall: 10h}"
    with pytest.raises(UsageProblem, match="could cost more"):
        started(random_base, data, "costly", more=price)
    with pytest.raises(UsageProblem, match=r"needs limits\.wall"):
        started(random_base, data, "costly", more="limits: {cost: 1.0, gpu_hour_usd: 2.5}")
    with pytest.raises(SettingsError):
        read_spec("base: x")
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "none"))
    with pytest.raises(MissingEnvironment):
        started(random_base, data, "elsewhere")
    # Nothing is left of what was not started.
    assert list_runs() == []
    with pytest.raises(UsageProblem, match="no fine-tuning run yet"):
        find_run("nothing")


def test_a_run_outlives_the_process_that_started_it(random_base: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "rows.jsonl", rows(60))
    spec = tmp_path / "spec.yaml"
    spec.write_text(spec_text(random_base, data, more="train: {max_steps: 10}"))
    code = (
        "import sys\nfrom llmops_kernel.finetune import read_spec_file, start\n"
        "print(start(read_spec_file(sys.argv[1]), 'alone').run_id)\n"
    )
    # In a session of its own, whose processes are all killed, as a kernel's are.
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(spec)], stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    out, _ = child.communicate(timeout=120)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    run = find_run(f"alone/{out.strip()}")
    assert run.wait(_LONG)["state"] == "done", run.log()
