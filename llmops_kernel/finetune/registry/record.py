"""What is kept about where a model comes from: without secrets, and small enough to show."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.registry import contents
from llmops_kernel.guard import Secrets

if TYPE_CHECKING:
    from collections.abc import Mapping


def cleaned(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record without secrets (a lock may name a package by a URL with a password).

    Raises:
        UsageProblem: It lacks what a version is named after.
    """
    for key in ("config", "data", "base"):
        if not record.get(key):
            raise UsageProblem(
                "A model is not registered without where it comes from", detail=f"{key} is missing"
            )
    clean: dict[str, Any] = Secrets().redact_json(json.loads(json.dumps(dict(record), default=str)))
    return clean


def base_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return name and hash of the base; the hash is of its weights where they lie here."""
    base = record["base"]
    found = dict(base) if isinstance(base, dict) else {"name": Path(str(base)).name or str(base)}
    folder = record.get("base_folder") or found.get("folder")
    if "sha256" not in found and folder and Path(str(folder)).is_dir():
        weights = contents.hashes(Path(str(folder)), "")
        told = {
            name: each["sha256"]
            for name, each in weights.items()
            if name.endswith((".safetensors", "config.json", "tokenizer.json"))
        }
        if told:
            text = json.dumps(told, sort_keys=True)
            found["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def packages_of(lock: str) -> dict[str, str]:
    """Return the versions of the packages that shape a training."""
    known = {
        "torch", "transformers", "trl", "peft", "unsloth", "axolotl", "bitsandbytes", "gguf",
        "tokenizers", "datasets",
    }  # fmt: skip
    found = {}
    for line in lock.splitlines():
        name, _, version = line.strip().partition("==")
        if name.lower() in known and version:
            found[name.lower()] = version
    return dict(sorted(found.items()))


def verdicts_of(preflight: Any) -> list[dict[str, Any]]:
    """Return the names and outcomes of the checks before training, without their details."""
    checks = preflight.get("checks") if isinstance(preflight, dict) else None
    return [
        {"name": each.get("name"), "outcome": each.get("outcome") or each.get("state")}
        for each in checks or ()
        if isinstance(each, dict)
    ]
