"""Axolotl's YAML and program: contracts, with stand-ins for the program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from finetune_rows import rows, write_rows

from llmops_kernel import envs
from llmops_kernel.errors import MissingEnvironment, UsageProblem
from llmops_kernel.finetune import read_spec, start
from llmops_kernel.finetune.axolotl import FIELDS, config_of
from llmops_kernel.finetune.launch import chosen_backend
from llmops_kernel.finetune.runs import raise_unless_done

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune

GOLDEN = Path(__file__).parent / "data" / "axolotl.yaml"
FAKE_AXOLOTL = """#!/bin/sh
test "$1" = train || exit 9
test "$AXOLOTL_DO_NOT_TRACK" = 1 || exit 8
echo "{'loss': 2.5, 'grad_norm': 1.0, 'epoch': 0.5}"
echo "some other line"
echo "{'loss': '1.25', 'epoch': 1.0}"
echo "{'eval_loss': 1.5, 'epoch': 1.0}"
mkdir -p axolotl/checkpoint-2 && echo weights > axolotl/adapter_model.safetensors
echo {} > axolotl/adapter_config.json; echo pickle > axolotl/training_args.bin
echo "{'train_runtime': 3.5}"
"""


def exported(tmp_path: Path, more: str = "", method: str = "lora") -> FineTune:
    data = write_rows(tmp_path / "rows.jsonl", rows(40))
    base = tmp_path / "base"
    base.mkdir(exist_ok=True)
    (base / "config.json").write_text("{}")
    text = (
        f"base: {base}\nmethod: {method}\ndata: {{path: {data}}}\n"
        f"backend: {{name: axolotl-export}}\n{more}"
    )
    return start(read_spec(text), "exported")


def test_axolotls_yaml(tmp_path: Path) -> None:
    more = (
        "train: {epochs: 2, max_length: 512, batch: 4, accumulate: 2, lr: 1.0e-4, packing: true, "
        "eval_every: 20, save_every: 40, precision: bf16}\nlora: {r: 8, alpha: 16, dropout: 0.05}"
    )
    run = exported(tmp_path, more)
    assert run.state == "written"
    raise_unless_done(run)
    assert "axolotl train" in run.outcome["hint"]
    made = (run.folder.path / "axolotl.yaml").read_text()
    made = made.replace(str(run.folder.path), "RUN").replace(str(tmp_path), "HOME")
    assert yaml.safe_load(made) == yaml.safe_load(GOLDEN.read_text())


@pytest.mark.parametrize(
    ("method", "more", "told"),
    [
        ("qlora", "", {"adapter": "qlora", "load_in_4bit": True, "lora_target_linear": True}),
        ("full", "", {"adapter": None, "lora_r": None, "chat_template": "tokenizer_default"}),
        ("lora", "lora: {targets: [q_proj], save_modules: [embed_tokens]}",
         {"lora_target_modules": ["q_proj"], "lora_modules_to_save": ["embed_tokens"],
          "lora_target_linear": None}),
        ("lora", "train: {max_steps: 5, loss_on: all, precision: fp16}",
         {"max_steps": 5, "train_on_inputs": True, "fp16": True, "bf16": False}),
        ("lora", "task: completion", {"chat_template": None}),
    ],
)  # fmt: skip
def test_axolotls_names(tmp_path: Path, method: str, more: str, told: dict[str, Any]) -> None:
    config = config_of(exported(tmp_path, more, method).asked)
    assert {name: config.get(name) for name in told} == told
    assert set(config) <= FIELDS
    if "completion" in more:
        assert config["datasets"][0]["type"]["field_output"] == "completion"


def test_a_system_message_has_no_name_in_axolotl(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no system message"):
        exported(tmp_path, "template: {system: Be brief.}")


def test_axolotls_program_is_run_and_watched(tmp_path: Path) -> None:
    place = tmp_path / "env" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    program = place / "axolotl"
    program.write_text(FAKE_AXOLOTL)
    program.chmod(0o755)
    data = write_rows(tmp_path / "rows.jsonl", rows(40))
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    text = (
        f"base: {base}\ndata: {{path: {data}}}\n"
        f"backend: {{name: axolotl, python: {place / 'python'}}}"
    )
    run = start(read_spec(text), "axolotl")
    outcome = run.wait(120)
    assert outcome["state"] == "done", (outcome, run.log())
    assert run.progress.train_loss == [(1, 2.5), (2, 1.25)]
    assert run.trained["metrics"] == {
        "train_loss": 1.25, "eval_loss": 1.5, "train_s": 3.5, "steps": 2,
    }  # fmt: skip
    kept = sorted(path.name for path in run.folder.final.iterdir())
    assert kept == ["adapter_config.json", "adapter_model.safetensors"]  # and no pickle
    program.write_text("#!/bin/sh\nexit 3\n")
    run = start(read_spec(text), "axolotl")
    assert run.wait(120)["reason"] == "axolotl failed"
    program.unlink()
    run = start(read_spec(text), "axolotl")
    outcome = run.wait(120)
    assert outcome["state"] in ("refused", "failed")
    assert "axolotl" in outcome["reason"]


def test_the_backend_follows_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(**backend: Any) -> str:
        spec = read_spec(f"base: x\ndata: {{path: x}}\nbackend: {json.dumps(backend)}")
        return chosen_backend(spec.backend)

    monkeypatch.setenv("PATH", str(tmp_path))
    assert chosen() == "trl"
    assert chosen(name="unsloth") == "unsloth"
    assert chosen(name="axolotl-export") == "axolotl"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: a card'\n")
    program.chmod(0o755)
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "envs"))
    assert chosen() == "trl"  # there is a GPU, and no environment for Unsloth
    made = envs.find("unsloth")
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    made.marker.write_text(made.recipe.digest)
    assert chosen() == "unsloth"
    with pytest.raises(MissingEnvironment):
        envs.python_of("trl")
