"""Axolotl's YAML, and which backend trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from finetune_rows import rows, write_rows

from llmops_kernel import envs
from llmops_kernel.errors import MissingEnvironment, UsageProblem
from llmops_kernel.finetune import axolotl, read_spec, start
from llmops_kernel.finetune.axolotl import FIELDS, config_of
from llmops_kernel.finetune.launch import chosen_backend
from llmops_kernel.finetune.runs import raise_unless_done

if TYPE_CHECKING:
    from llmops_kernel.finetune.runs import FineTune

GOLDEN = Path(__file__).parent / "data" / "axolotl.yaml"


@pytest.fixture(autouse=True)
def _no_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is checked beside the YAML, which is then written at once."""
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "none"))


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


def test_what_nobody_could_check_is_said(tmp_path: Path) -> None:
    run = exported(tmp_path)
    found = run.progress.preflight
    assert found is not None
    assert found["verdict"] == "warn"
    said = {each["name"]: each for each in found["checks"]}
    assert said["axolotl.yaml"]["said"] == "The YAML is not checked by Axolotl's schema"
    assert said["axolotl.yaml"]["hint"] == "llmops env create axolotl"
    assert "transformers" in said["rows"]["detail"]
    assert json.loads(run.folder.preflight.read_text())["verdict"] == "warn"


@pytest.mark.parametrize(
    ("limit", "asked", "told"),
    [(512, "auto", 512), (131_072, "auto", 2_048), (512, 256, 256), (None, "auto", 2_048)],
)
def test_rows_are_no_longer_than_a_base_can_read(
    tmp_path: Path, limit: int | None, asked: str | int, told: int
) -> None:
    run = exported(tmp_path, f"train: {{max_length: {asked}}}").asked
    base = Path(run["base"])
    (base / "config.json").write_text(json.dumps({"max_position_embeddings": limit}))
    assert config_of(run)["sequence_len"] == told
    assert config_of(run, 96)["sequence_len"] == 96  # what the rows need, where it was measured


def test_a_resumed_run_goes_on_from_axolotls_checkpoint(tmp_path: Path) -> None:
    run = exported(tmp_path).asked
    assert "resume_from_checkpoint" not in config_of({**run, "resume": True})
    made = Path(run["folder"]) / "axolotl"
    for step, whole in ((20, True), (100, True), (120, False)):
        (made / f"checkpoint-{step}").mkdir(parents=True)
        if whole:
            (made / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    config = config_of({**run, "resume": True})
    assert config["resume_from_checkpoint"] == str(made / "checkpoint-100")
    assert set(config) <= FIELDS
    assert "resume_from_checkpoint" not in config_of(run)


def test_a_name_that_axolotl_does_not_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = exported(tmp_path).asked
    monkeypatch.setattr(axolotl, "FIELDS", FIELDS - {"lora_r"})
    with pytest.raises(UsageProblem, match="no such names") as told:
        config_of(run)
    assert told.value.detail == "lora_r"


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
