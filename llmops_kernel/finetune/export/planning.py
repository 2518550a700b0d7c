"""What keeps an export from being made, as far as the base shows it: said before the training."""

from __future__ import annotations

import json
import shutil
from math import prod
from pathlib import Path
from typing import Any

from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.finetune.export import engines, weights
from llmops_kernel.finetune.export.gguf_adapter import refuse_whole
from llmops_kernel.finetune.export.gguf_config import check_config
from llmops_kernel.finetune.export.gguf_vocab import read_vocabulary
from llmops_kernel.finetune.export.kinds import OWN_TYPES, Export, parse
from llmops_kernel.finetune.export.work import said, setting

_DISK = 3  # times the model's size that exports may take together while they are made


def plan(run: dict[str, Any]) -> list[dict[str, str]]:
    """Say of each export whether it can be made, before hours are spent on training.

    Args:
        run: As for `worker.run_exports`; the base is looked at, the checkpoint is not there yet.

    Returns:
        For each, ``export``, ``state`` (``ready``, ``refused`` or ``unavailable``), ``reason`` and
        ``hint``.
    """
    found = []
    base = Path(setting(run, "base"))
    for export in parse(setting(run, "export", [])):
        reason = hint = ""
        state = "ready"
        try:
            _check(export, base, run)
        except engines.Unavailable as error:
            state, reason, hint = "unavailable", said(error), error.hint
        except LLMOpsError as error:
            state, reason, hint = "refused", said(error), error.hint
        found.append({"export": export.name, "state": state, "reason": reason, "hint": hint})
    return found


def disk_needed(base: Path) -> int:
    """Return the bytes that exports may need while they are made, from the base's weights."""
    return _DISK * sum(path.stat().st_size for path in base.glob("*.safetensors"))


def _check(export: Export, base: Path, run: dict[str, Any]) -> None:
    """Raise what would keep an export from being made, as far as the base shows it."""
    if export.kind in ("adapter", "gguf-adapter") and setting(run, "method", "lora") == "full":
        raise UsageProblem("There is no adapter: the whole model is trained")
    if export.kind == "gguf-adapter" and (base / "config.json").is_file():
        check_config(json.loads((base / "config.json").read_text(encoding="utf-8")))
        refuse_whole(_whole(base, run))
    if export.kind in ("awq", "gptq"):
        engines.check_gpu(export.kind)
    if export.kind == "gguf" and export.type not in OWN_TYPES:
        engines.quantiser(setting(run, "llama_cpp", ""))
    if export.needs_merged and (base / "config.json").is_file():
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        weights.refuse_quantised(base)
        free, needed = shutil.disk_usage(base).free, disk_needed(base)
        if free < needed:
            raise UsageProblem(
                "The disk has too little room for the exports",
                detail=f"{free:,} bytes free, {needed:,} may be needed",
                hint="Free some disk, or ask for fewer exports",
            )
        if export.kind == "gguf" and not engines.converter(setting(run, "converter", "")):
            check_config(config)
            read_vocabulary(base, max(config["vocab_size"], _tokens(base)))


def _whole(base: Path, run: dict[str, Any]) -> list[str]:
    """Return the modules that the run trains whole, as far as the base's files show it."""
    said = (setting(run, "lora", None) or {}).get("save_modules", [])
    if said != "auto":
        return list(said)
    from llmops_kernel.finetune.worker.loading import saved_whole

    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return saved_whole(_parameters(base), tied=bool(config.get("tie_word_embeddings")))


def _parameters(base: Path) -> int:
    """Return how many numbers a folder's safetensors hold, by what they say of themselves."""
    found = 0
    for path in base.glob("model*.safetensors"):
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        found += sum(prod(each["shape"]) for key, each in head.items() if key != "__metadata__")
    return found


def _tokens(folder: Path) -> int:
    """Return one more than the largest id of a tokenizer; 0 where it cannot be told."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return 0
    raw = json.loads(path.read_text(encoding="utf-8"))
    added = [each["id"] for each in raw.get("added_tokens") or ()]
    vocab = (raw.get("model") or {}).get("vocab") or {}
    ids = vocab.values() if isinstance(vocab, dict) else range(len(vocab))
    return max([*ids, *added], default=-1) + 1
