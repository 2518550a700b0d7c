"""The same job as Axolotl's YAML, so that it can run where Axolotl does.

Axolotl's own schema lets misspelt names pass, so every name written here is one of a list that was
checked against it. Values are checked by that schema itself, where it can be imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmops_kernel.errors import UsageProblem

CONFIG = "axolotl.yaml"
UNCHECKED = "The YAML is not checked by Axolotl's schema"
MAKE = "llmops env create axolotl"
COMMAND = "AXOLOTL_DO_NOT_TRACK=1 axolotl train axolotl.yaml"
_LENGTH = 2_048  # where max_length is auto and the rows were not measured

# Names of AxolotlInputConfig (0.19) that may be written.
FIELDS = frozenset(
    {
        "base_model", "adapter", "load_in_4bit", "lora_r", "lora_alpha", "lora_dropout",
        "lora_target_linear", "lora_target_modules", "lora_modules_to_save", "sequence_len",
        "sample_packing", "train_on_inputs", "datasets", "test_datasets", "val_set_size",
        "chat_template", "chat_template_jinja", "micro_batch_size", "gradient_accumulation_steps",
        "num_epochs", "max_steps", "learning_rate", "lr_scheduler", "warmup_steps", "optimizer",
        "seed", "bf16", "fp16", "tf32", "gradient_checkpointing", "output_dir", "eval_steps",
        "save_steps", "save_total_limit", "logging_steps", "resume_from_checkpoint",
    }
)  # fmt: skip
_DATA_FIELDS = frozenset(
    {
        "path", "ds_type", "split", "type", "field_messages", "message_property_mappings",
        "roles_to_train", "train_on_eos",
    }
)  # fmt: skip


def config_of(run: dict[str, Any], length: int | None = None) -> dict[str, Any]:
    """Return a run as Axolotl's configuration.

    Args:
        run: The content of ``run.json``.
        length: Tokens a row may have, where they were measured.

    Raises:
        UsageProblem: It asks for what Axolotl has no name for.
    """
    train, lora, folder = run["train"], run["lora"], Path(run["folder"])
    if run["template"]["system"]:
        raise UsageProblem("Axolotl adds no system message to chats", hint="Write it into the rows")
    config: dict[str, Any] = {"base_model": run["base"]}
    if run["method"] != "full":
        config |= _adapter(run["method"], lora)
    config |= {
        "sequence_len": length or _length(run),
        "sample_packing": train["packing"],
        "train_on_inputs": train["loss_on"] == "all",
        "datasets": [_data(run, folder / "data" / "train.jsonl")],
        "val_set_size": 0.0,  # the rows are split already, without leakage
    }
    if run["manifest"]["eval"]:
        config["test_datasets"] = [_data(run, folder / "data" / "eval.jsonl") | {"split": "train"}]
    if run["task"] != "completion":
        config |= _template(run["template"]["source"])
    config |= {
        "micro_batch_size": train["batch"],
        "gradient_accumulation_steps": train["accumulate"],
        "num_epochs": train["epochs"],
        "learning_rate": train["lr"],
        "lr_scheduler": train["schedule"],
        "warmup_steps": train["warmup_steps"],
        "optimizer": "adamw_torch",
        "seed": train["seed"],
        "bf16": {"auto": "auto", "bf16": True}.get(train["precision"], False),
        "fp16": train["precision"] == "fp16",
        "gradient_checkpointing": train["checkpointing"] in ("auto", True),
        "logging_steps": 1,
        "save_total_limit": 2,
        "output_dir": str(folder / "axolotl"),
    }
    if train["max_steps"]:
        config["max_steps"] = train["max_steps"]
    for name in ("eval_every", "save_every"):
        if train[name] != "auto":
            config[f"{name.partition('_')[0]}_steps"] = train[name]
    if run.get("resume") and (checkpoint := newest_checkpoint(folder / "axolotl")):
        config["resume_from_checkpoint"] = str(checkpoint)
    _check(config)
    return config


def write_config(run: dict[str, Any], length: int | None = None) -> Path:
    """Write the configuration into the run's folder and return its path; see `config_of`."""
    path = Path(run["folder"]) / CONFIG
    path.write_text(as_yaml(config_of(run, length)), encoding="utf-8")
    return path


def written(folder: Path) -> dict[str, str]:
    """Return the outcome of a run that was asked for the configuration alone."""
    return {
        "state": "written", "detail": str(folder / CONFIG), "hint": f"cd {folder} && {COMMAND}",
    }  # fmt: skip


def not_checked() -> dict[str, Any]:
    """Return the pre-flight of a run that no environment here could check."""
    rows = {"name": "rows", "said": "Rows, template and lengths are not checked",
            "detail": "there is no environment with transformers",
            "hint": "llmops env create trl, or axolotl"}  # fmt: skip
    schema = {"name": "axolotl.yaml", "said": UNCHECKED, "detail": "", "hint": MAKE}
    checks = [{**each, "state": "warn", "fatal": False} for each in (rows, schema)]
    return {"verdict": "warn", "checks": checks, "figures": {}, "view": []}


def newest_checkpoint(made: Path) -> Path | None:
    """Return the newest whole checkpoint that Axolotl wrote; what is written last is looked for."""
    found = [
        (int(path.parent.name.rpartition("-")[2]), path.parent)
        for path in made.glob("checkpoint-*/trainer_state.json")
        if path.parent.name.rpartition("-")[2].isdigit()
    ]
    return max(found)[1] if found else None


def as_yaml(config: dict[str, Any]) -> str:
    """Return a configuration as YAML (as JSON, which is YAML, where the package is missing)."""
    try:
        import yaml
    except ModuleNotFoundError:
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))


def _adapter(method: str, lora: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"adapter": method}
    if method == "qlora":
        found["load_in_4bit"] = True
    found |= {"lora_r": lora["r"], "lora_alpha": lora["alpha"], "lora_dropout": lora["dropout"]}
    if lora["targets"] == "all-linear":
        found["lora_target_linear"] = True
    else:
        found["lora_target_modules"] = lora["targets"]
    if lora["save_modules"] not in ("auto", []):
        found["lora_modules_to_save"] = lora["save_modules"]
    return found


def _data(run: dict[str, Any], path: Path) -> dict[str, Any]:
    if run["task"] == "completion":
        plain = {
            "field_instruction": "prompt", "field_output": "completion",
            "format": "{instruction}", "no_input_format": "{instruction}",
        }  # fmt: skip
        return {"path": str(path), "ds_type": "json", "type": plain}
    return {
        "path": str(path),
        "ds_type": "json",
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
        "train_on_eos": "turn",
    }


def _template(source: str) -> dict[str, Any]:
    if source == "tokenizer":
        return {"chat_template": "tokenizer_default"}
    return {
        "chat_template": "jinja",
        "chat_template_jinja": Path(source).read_text(encoding="utf-8"),
    }


def _length(run: dict[str, Any]) -> int:
    """Return what was asked for, or what a base can read."""
    asked = run["train"]["max_length"]
    if asked != "auto":
        return int(asked)
    try:
        config = json.loads((Path(run["base"]) / "config.json").read_text(encoding="utf-8"))
        text = config.get("text_config") or config
        limit = int(text.get("max_position_embeddings") or _LENGTH)
    except (OSError, ValueError, AttributeError, TypeError):
        limit = _LENGTH  # a base from the hub
    return min(limit, _LENGTH)


def _check(config: dict[str, Any]) -> None:
    wrong = set(config) - FIELDS
    for data in [*config["datasets"], *config.get("test_datasets", ())]:
        wrong |= set(data) - _DATA_FIELDS
    if wrong:
        raise UsageProblem(
            "Axolotl has no such names", detail=", ".join(sorted(wrong)),
            hint="Train with backend: trl; the configuration would be ignored in part",
        )  # fmt: skip
