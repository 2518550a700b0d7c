"""Trainings by Axolotl's program: checked first, watched, stopped, resumed; a stand-in trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from finetune_rows import rows, spec_text, write_rows

from llmops_kernel import envs
from llmops_kernel.finetune import read_spec, resume, start
from llmops_kernel.finetune.axolotl import as_yaml, config_of

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune

_LONG = 240.0
_SCHEMA = os.environ.get("LLMOPS_AXOLOTL", "")  # read before tests hide settings
PROGRAM = """#!/bin/sh
test "$1" = train || exit 9
test "$AXOLOTL_DO_NOT_TRACK" = 1 || exit 8
echo "TRAINS"
echo "{'loss': 2.5, 'grad_norm': 1.0, 'epoch': 0.5}"
echo "some other line"
echo "{'loss': '1.25', 'epoch': 1.0}"
echo "{'eval_loss': 1.5, 'epoch': 1.0}"
mkdir -p axolotl/checkpoint-2 && echo weights > axolotl/adapter_model.safetensors
echo {} > axolotl/adapter_config.json; echo pickle > axolotl/training_args.bin
echo "{'train_runtime': 3.5}"
"""
# Writes a checkpoint, then trains on without a word.
SILENT = """#!/bin/sh
grep resume_from_checkpoint "$2"
mkdir -p axolotl/checkpoint-30 && echo {} > axolotl/checkpoint-30/trainer_state.json
echo "{'loss': 2.5, 'epoch': 0.5}"
exec sleep 600
"""


class Desk:
    """An environment with the packages of the training environment, and a program beside."""

    def __init__(self, place: Path, trl: Path) -> None:
        source = trl.parent.parent
        (place / "bin").mkdir(parents=True)
        (place / "bin" / "python").symlink_to(trl.resolve())
        shutil.copy(source / "pyvenv.cfg", place / "pyvenv.cfg")
        (place / "lib").symlink_to(source / "lib")
        self.python, self.program = place / "bin" / "python", place / "bin" / "axolotl"
        self.program_is(PROGRAM)

    def program_is(self, text: str) -> None:
        self.program.write_text(text)
        self.program.chmod(0o755)

    def starts(self, base: Path, data: Path, more: str = "", **options: Any) -> FineTune:
        text = spec_text(base, data, method=options.pop("method", "lora"), more=more)
        name = options.pop("backend", "axolotl")
        backend = f"backend: {{threads: 1, name: {name}, python: {self.python}}}"
        return start(
            read_spec(text.replace("backend: {threads: 1}", backend)), "axolotl", **options
        )


@pytest.fixture
def desk(trl: Path, tmp_path: Path) -> Desk:
    return Desk(tmp_path / "env", trl)


def checks_of(run: FineTune) -> dict[str, dict[str, Any]]:
    found = json.loads(run.folder.preflight.read_text())
    return {check["name"]: check for check in found["checks"]}


def test_only_the_checks_never_train(desk: Desk, trained_base: Path, data: Path) -> None:
    run = desk.starts(trained_base, data, only_preflight=True)
    outcome = run.wait(_LONG)
    assert outcome["state"] == "checked", (outcome, run.log())
    assert "TRAINS" not in run.log()
    assert not (run.folder.path / "axolotl").exists()
    assert not run.folder.final.exists()
    checks = checks_of(run)
    for name in ("data", "template", "truncation", "labels", "end token", "memory", "disk",
                 "time and cost", "axolotl.yaml"):  # fmt: skip
        assert name in checks
    assert checks["axolotl.yaml"]["state"] == "warn"  # the stand-in has no schema
    found = run.progress.preflight
    assert found is not None
    assert found["view"][0]["tokens"]
    assert run.progress.estimate is not None
    # As many tokens as the rows need, and not more than the base can read.
    config = yaml.safe_load((run.folder.path / "axolotl.yaml").read_text())
    assert config["sequence_len"] == found["figures"]["max_length"] < 256


def test_the_program_is_run_and_watched(desk: Desk, trained_base: Path, data: Path) -> None:
    run = desk.starts(trained_base, data, "export: [adapter]")
    outcome = run.wait(_LONG)
    assert outcome["state"] == "done", (outcome, run.log())
    assert run.progress.train_loss == [(1, 2.5), (2, 1.25)]
    assert run.trained["metrics"] == {
        "train_loss": 1.25, "eval_loss": 1.5, "train_s": 3.5, "steps": 2,
    }  # fmt: skip
    kept = sorted(path.name for path in run.folder.final.iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]  # and no pickle
    assert "transformers==" in run.folder.packages.read_text()
    desk.program_is("#!/bin/sh\nexit 3\n")
    assert desk.starts(trained_base, data).wait(_LONG)["reason"] == "axolotl failed"
    desk.program.unlink()
    run = desk.starts(trained_base, data)
    outcome = run.wait(_LONG)
    assert outcome["state"] in ("refused", "failed")
    assert "axolotl" in outcome["reason"]


def test_what_is_wrong_is_said_before_the_program_runs(
    desk: Desk, trained_base: Path, random_base: Path, data: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jinja"
    broken.write_text("{%- for message in messages %}\n{{ message['content'] }\n")
    long = write_rows(tmp_path / "long.jsonl", [
        {"messages": [{"role": "user", "content": f"{row['messages'][0]['content']} " * 20},
                      row["messages"][1]]} for row in rows(40)
    ])  # fmt: skip
    cases = [
        (trained_base, data, f"template: {{source: {broken}}}", "the chat template cannot be read"),
        (trained_base, long, "train: {max_length: 64}", "no train row has anything left to learn"),
        (random_base, data, "", "LoRA cannot teach a base with random weights"),
        (trained_base, data, "eval: {gate: {eval_loss_not_worse: true}}",
         "Axolotl does not measure the base, so no gate can be judged"),
    ]  # fmt: skip
    for base, given, more, reason in cases:
        run = desk.starts(base, given, more)
        outcome = run.wait(_LONG)
        assert (outcome["state"], outcome["reason"]) == ("refused", reason), run.log()
        assert "TRAINS" not in run.log()
        if "template" in more:
            assert f"{broken}, line 2" in outcome["detail"]


def test_a_silent_program_is_stopped_and_goes_on(
    desk: Desk, trained_base: Path, data: Path
) -> None:
    desk.program_is(SILENT)
    run = desk.starts(trained_base, data)
    end = time.monotonic() + _LONG
    while not run.progress.train_loss:
        assert run.state == "running", (run.outcome, run.log())
        assert time.monotonic() < end
        time.sleep(0.1)
    run.stop()
    outcome = run.wait(60)  # long before the supervisor's patience ends
    assert (outcome["state"], outcome["reason"]) == ("stopped", "asked")
    desk.program_is(PROGRAM.replace('echo "TRAINS"', 'grep resume_from_checkpoint "$2"'))
    run = resume(run)
    assert run.wait(_LONG)["state"] == "done", run.log()
    assert "checkpoint-30" in run.log()
    assert run.progress.resumed == 30
    assert run.trained["metrics"]["steps"] == 32


def test_the_yaml_alone_is_checked_as_well(desk: Desk, trained_base: Path, data: Path) -> None:
    run = desk.starts(trained_base, data, backend="axolotl-export")
    outcome = run.wait(_LONG)
    assert outcome["state"] == "written", (outcome, run.log())
    assert "axolotl train" in outcome["hint"]
    assert "TRAINS" not in run.log()
    assert checks_of(run)["labels"]["state"] == "ok"
    config = yaml.safe_load((run.folder.path / "axolotl.yaml").read_text())
    assert config["sequence_len"] < 256


@pytest.mark.skipif(
    not _SCHEMA,
    reason="set LLMOPS_AXOLOTL to a folder with axolotl's package (its wheel, unpacked) and pillow",
)
def test_axolotls_own_schema(trl: Path, tmp_path: Path) -> None:
    """The real one: it accepts what we write, and refuses what we would not."""
    script = (
        "import json, sys\nfrom pathlib import Path\n"
        "from llmops_kernel.finetune.worker.axolotl_schema import check_by_schema\n"
        "from llmops_kernel.finetune.worker.checks import Preflight\n"
        "found = Preflight()\n"
        "for path in sys.argv[1:]:\n    check_by_schema(Path(path), found)\n"
        "print('RESULT' + json.dumps([[c.state, c.detail, c.fatal] for c in found.checks]))\n"
    )
    data = write_rows(tmp_path / "rows.jsonl", rows(40))
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    files = []
    ways = [
        ("lora", ""), ("qlora", "train: {packing: true, precision: bf16, max_steps: 5}"),
        ("full", "train: {loss_on: all, eval_every: 5, save_every: 10}"),
        ("lora", "task: completion\nlora: {targets: [q_proj], save_modules: [embed_tokens]}"),
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_ENVS", str(tmp_path / "none"))
        for number, (method, more) in enumerate(ways):
            text = (f"base: {base}\nmethod: {method}\ndata: {{path: {data}}}\n"
                    f"backend: {{name: axolotl-export}}\n{more}")  # fmt: skip
            config = config_of(start(read_spec(text), f"model{number}").asked)
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_text(as_yaml(config))
    wrong: list[dict[str, Any]] = [
        {"learning_rate": "fast"}, {"adapter": "qlora", "load_in_4bit": False}, {"datasets": None}
    ]  # fmt: skip
    for number, each in enumerate(wrong):
        files.append(tmp_path / f"wrong{number}.yaml")
        files[-1].write_text(as_yaml({**yaml.safe_load(files[0].read_text()), **each}))
    variables = envs.command_env("trl")
    variables["PYTHONPATH"] += os.pathsep + _SCHEMA
    done = subprocess.run(
        [str(trl), "-c", script, *map(str, files)],
        env=variables, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.rpartition("RESULT")[2])
    assert [state for state, *_ in found] == ["ok"] * 4 + ["stop"] * 3, found
    assert found[4] == ["stop", "learning_rate: could not convert string to float: 'fast'", True]
    assert "load_in_4bit" in found[5][1]
