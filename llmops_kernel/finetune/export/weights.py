"""Adapter and merged weights, as safetensors. Runs in the training environment."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.model", "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip
_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
_PROBES = ("Hello", "What does it cost?", "My card is lost. 12 May, $40.50")


def is_adapter(checkpoint: Path) -> bool:
    """Whether a checkpoint holds an adapter rather than a whole model."""
    return (checkpoint / "adapter_config.json").is_file()


def copy_adapter(checkpoint: Path, out: Path) -> dict[str, Any]:
    """Copy an adapter with its tokenizer, and nothing that executes when it is loaded.

    Returns:
        ``bytes`` of the weights.

    Raises:
        UsageProblem: The checkpoint is a whole model, or its adapter is pickled.
    """
    if not is_adapter(checkpoint):
        raise UsageProblem(
            "There is no adapter: the whole model was trained",
            hint="Ask for merged instead of adapter",
        )
    if not (checkpoint / "adapter_model.safetensors").is_file():
        raise UsageProblem(
            "The adapter is not saved as safetensors",
            hint="Save it with save_pretrained(..., safe_serialization=True)",
        )
    out.mkdir(parents=True, exist_ok=True)
    for name in (*_ADAPTER, *_TOKENIZER):
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, out / name)
    return {"bytes": (out / "adapter_model.safetensors").stat().st_size}


def merge(checkpoint: Path, out: Path, base: str = "") -> dict[str, Any]:
    """Write a checkpoint as one model that needs no adapter.

    Args:
        checkpoint: An adapter, or a whole model.
        out: The folder to write.
        base: What the adapter was trained on; empty for what the adapter itself names.

    Returns:
        ``dtype``; for an adapter also ``max_logit_difference`` and ``max_logit`` over a few texts:
        the model with its adapter beside the merged one as it was read back from the folder.

    Raises:
        UsageProblem: The base is quantised, so merging would round the adapter away.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not is_adapter(checkpoint):
        refuse_quantised(checkpoint)
        model = AutoModelForCausalLM.from_pretrained(
            str(checkpoint), dtype="auto", local_files_only=True
        )
        _save(model, AutoTokenizer.from_pretrained(str(checkpoint), local_files_only=True), out)
        return {"dtype": _dtype(model)}
    from peft import PeftModel

    named = json.loads((checkpoint / "adapter_config.json").read_text(encoding="utf-8"))
    source = base or named["base_model_name_or_path"]
    if Path(source).is_dir():
        refuse_quantised(Path(source))
    where = checkpoint if (checkpoint / "tokenizer_config.json").is_file() else Path(source)
    tokenizer = AutoTokenizer.from_pretrained(str(where))
    plain = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
    if getattr(plain.config, "quantization_config", None) is not None:
        raise _quantised()
    if plain.get_input_embeddings().num_embeddings < len(tokenizer):
        plain.resize_token_embeddings(len(tokenizer))
    adapted = PeftModel.from_pretrained(plain, str(checkpoint)).eval()
    before = _logits(adapted, tokenizer)
    model = adapted.merge_and_unload()
    _save(model, tokenizer, out)
    dtype = _dtype(model)
    del plain, adapted, model
    gc.collect()
    again = AutoModelForCausalLM.from_pretrained(str(out), dtype="auto", local_files_only=True)
    after = _logits(again.eval(), tokenizer)
    apart = max(float((one - other).abs().max()) for one, other in zip(before, after, strict=True))
    largest = max(float(one.abs().max()) for one in before)
    return {"dtype": dtype, "max_logit_difference": apart, "max_logit": largest}


def _save(model: Any, tokenizer: Any, out: Path) -> None:
    # A base's sampling settings may contradict each other, which save_pretrained refuses; and a
    # trained classifier of messages is not to be sampled from by default.
    model.generation_config.do_sample = False
    for name in ("temperature", "top_p", "top_k"):
        setattr(model.generation_config, name, None)
    model.save_pretrained(str(out))
    tokenizer.save_pretrained(str(out))


def _logits(model: Any, tokenizer: Any, texts: Sequence[str] = _PROBES) -> list[Any]:
    import torch

    found = []
    with torch.no_grad():
        for text in texts:
            ids = tokenizer(text, return_tensors="pt")["input_ids"].to(model.device)
            found.append(model(input_ids=ids).logits.float().cpu())
    return found


def _dtype(model: Any) -> str:
    return str(next(model.parameters()).dtype).removeprefix("torch.")


def refuse_quantised(folder: Path) -> None:
    """Refuse a folder whose weights are stored in 4 or 8 bits (raises `UsageProblem`)."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if config.get("quantization_config"):
        raise _quantised()


def _quantised() -> UsageProblem:
    return UsageProblem(
        "An adapter is not merged into quantised weights",
        detail="the base is stored in 4 or 8 bits; rounding the sum again changes the answers",
        hint="Name the 16-bit form of the same base, and merge into that",
    )
