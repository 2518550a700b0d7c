"""How Unsloth is called: a contract, with a stand-in for the module where TRL is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from finetune_rows import rows, write_rows
from side_env import need_trl
from unsloth_env import program

from llmops_kernel import envs
from llmops_kernel.errors import RunFailed
from llmops_kernel.finetune import read_spec, start
from llmops_kernel.finetune.launch import chosen_backend
from llmops_kernel.finetune.runs import FineTune, raise_unless_done

if TYPE_CHECKING:
    from pathlib import Path

# A module that answers as Unsloth's does, with transformers and PEFT behind it.
FAKE_UNSLOTH = """
import json, os, sys
assert "transformers" not in sys.modules and "trl" not in sys.modules, "imported too late"
assert os.environ["UNSLOTH_AUTO_INSTALL"] == "0", "it may install packages"
assert os.environ["UNSLOTH_COMPILE_LOCATION"].startswith(os.getcwd()), "it may write elsewhere"
calls = []

class FastLanguageModel:
    @staticmethod
    def from_pretrained(model_name, max_seq_length=2048, dtype=None, load_in_4bit=True,
                        load_in_8bit=False, load_in_16bit=False, full_finetuning=False,
                        use_gradient_checkpointing="unsloth", random_state=3407):
        from transformers import AutoModelForCausalLM, AutoTokenizer
        calls.append(["from_pretrained", max_seq_length, load_in_4bit, load_in_16bit,
                      full_finetuning, use_gradient_checkpointing])
        return (AutoModelForCausalLM.from_pretrained(model_name),
                AutoTokenizer.from_pretrained(model_name))

    @staticmethod
    def get_peft_model(model, r=16, target_modules=(), lora_alpha=16, lora_dropout=0, bias="none",
                       use_gradient_checkpointing="unsloth", random_state=3407,
                       modules_to_save=None, ensure_weight_tying=None):
        from peft import LoraConfig, get_peft_model
        calls.append(["get_peft_model", r, target_modules, modules_to_save])
        with open(os.environ["FAKE_CALLS"], "w") as out:
            json.dump(calls, out)
        return get_peft_model(model, LoraConfig(
            r=r, lora_alpha=lora_alpha, target_modules=target_modules,
            modules_to_save=modules_to_save, ensure_weight_tying=bool(ensure_weight_tying)))
"""


def begun(base: Path, place: Path, module: str) -> FineTune:
    """Start a run whose interpreter finds this module under Unsloth's name."""
    site = place / "site"
    site.mkdir()
    (site / "unsloth.py").write_text(module)
    python = program(place / "python", need_trl(), f'PYTHONPATH="$PYTHONPATH:{site}"')
    data = write_rows(place / "rows.jsonl", rows(40))
    text = (
        f"base: {base}\ndata: {{path: {data}}}\ntask: classify\n"
        f"backend: {{name: unsloth, python: {python}, threads: 1}}\n"
        "train: {max_steps: 6, max_length: 64, precision: fp32}\nlora: {r: 4}"
    )
    return start(read_spec(text), "unsloth")


def test_unsloth_is_imported_first_and_asked_by_its_names(
    trained_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls.json"))
    monkeypatch.setenv("UNSLOTH_AUTO_INSTALL", "1")
    monkeypatch.setenv("UNSLOTH_COMPILE_LOCATION", str(tmp_path / "elsewhere"))
    run = begun(trained_base, tmp_path, FAKE_UNSLOTH)
    outcome = run.wait(240)
    assert outcome["state"] == "done", (outcome, run.log())
    loaded, adapted = json.loads((tmp_path / "calls.json").read_text())
    assert loaded[:5] == ["from_pretrained", 64, False, True, False]
    assert adapted[:2] == ["get_peft_model", 4]
    assert "q_proj" in adapted[2] or adapted[2] == "all-linear"
    assert adapted[3] == ["embed_tokens"]
    assert (run.folder.final / "adapter_model.safetensors").is_file()


def test_an_unsloth_that_cannot_be_imported(random_base: Path, tmp_path: Path) -> None:
    run = begun(random_base, tmp_path, "raise NotImplementedError('no GPU of a kind I know')")
    outcome = run.wait(120)
    assert outcome["state"] == "refused", (outcome, run.log())
    assert outcome["reason"] == "Unsloth cannot be used here"
    assert outcome["detail"] == "NotImplementedError: no GPU of a kind I know"
    assert "llmops env create unsloth" in outcome["hint"]
    with pytest.raises(RunFailed):
        raise_unless_done(run)


def test_only_an_environment_for_a_gpu_is_chosen_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path / "envs"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    auto = read_spec("base: x\ndata: {path: x}").backend
    made = envs.find("unsloth")
    assert made.recipe.variant == "cpu"
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    made.mark()
    assert chosen_backend(auto) == "trl"  # it is here, and no faster than TRL without a GPU
    card = tmp_path / "nvidia-smi"
    card.write_text("#!/bin/sh\necho 'GPU 0: a card'\n")
    card.chmod(0o755)
    assert chosen_backend(auto) == "trl"  # it was made for a CPU, and would train on it
    envs.find("unsloth").mark()
    assert chosen_backend(auto) == "unsloth"
