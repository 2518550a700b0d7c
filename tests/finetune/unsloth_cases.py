"""Cases of loading with Unsloth, run where it is; prints one JSON object.

``python unsloth_cases.py BASE FOLDER``
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from llmops_kernel.finetune.worker.job import Ended
from llmops_kernel.finetune.worker.unsloth import bring_in, check_settings, load_with_unsloth

TRAIN = {"max_length": 64, "precision": "auto", "checkpointing": "auto", "packing": False,
         "seed": 7}  # fmt: skip
GATE = "base_model.model.model.layers.0.mlp.gate_proj"
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear", "save_modules": "auto"}


def job(base: Path, folder: Path, method: str = "full", **train: Any) -> Any:
    run = {"base": str(base), "method": method, "lora": LORA, "threads": 1,
           "backend": {"threads": 1}, "train": {**TRAIN, **train}}  # fmt: skip
    return SimpleNamespace(run=run, train=run["train"], folder=SimpleNamespace(path=folder))


def before_and_after(model: Any) -> float:
    """Return how far gradients are from each other before and after an evaluation."""
    import torch

    def gradients() -> list[Any]:
        model.train()
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [each.grad.clone() for each in model.parameters() if each.grad is not None]

    ids = torch.arange(5, 37).reshape(2, 16)
    first = gradients()
    model.eval()
    with torch.no_grad():
        model(input_ids=ids)
    then = gradients()
    assert any(each.abs().max() > 0 for each in first)
    return max(float((a - b).abs().max()) for a, b in zip(first, then, strict=True))


def main(base: Path, folder: Path) -> dict[str, Any]:
    names = ("UNSLOTH_AUTO_INSTALL", "UNSLOTH_DISABLE_STATISTICS", "UNSLOTH_COMPILE_LOCATION")
    os.environ["UNSLOTH_AUTO_INSTALL"] = "1"  # as a person's shell may have it
    early = sorted({"torch", "transformers", "trl", "peft"} & set(sys.modules))
    bring_in(job(base, folder))
    found: dict[str, Any] = {"early": early, "variables": [os.environ[name] for name in names]}

    import torch
    from peft import get_peft_model
    from transformers import AutoTokenizer

    from llmops_kernel.finetune.worker.checks import Preflight
    from llmops_kernel.finetune.worker.loading import load_base, native_bf16

    tokenizer = AutoTokenizer.from_pretrained(base)

    def loaded(method: str, place: Path = base, words: Any = tokenizer, **train: Any) -> Any:
        try:
            return load_with_unsloth(job(place, folder, method, **train), words, [5, 6, 7, 8], 32)
        except Ended as ended:
            return [ended.code, str(ended), ended.detail]

    full = loaded("full", precision="bf16")
    found["full"] = [str(full.model.dtype), full.precision, full.checkpointing,
                     full.model.is_gradient_checkpointing]  # fmt: skip
    small = loaded("lora", precision="auto")
    found["auto"] = [str(small.model.dtype), small.precision]
    half = loaded("lora", precision="fp16", packing=True)
    found["half"] = [half.precision, native_bf16()]
    asked = job(base, folder, "lora", precision="fp16", packing=True)
    told = Preflight()
    check_settings(asked, half, told)
    found["told"] = [each.plain() for each in told.checks]
    found["packing"] = asked.train["packing"]
    plain = Preflight()
    check_settings(job(base, folder, "lora"), small, plain)
    found["nothing"] = len(plain.checks)

    def trained(model: Any) -> dict[str, float]:
        return {name: float(each.detach().double().sum())
                for name, each in model.named_parameters() if each.requires_grad}  # fmt: skip

    ours = load_base(job(base, folder, "lora"), tokenizer, [5, 6, 7, 8])
    torch.manual_seed(TRAIN["seed"])
    found["adapters"] = [
        trained(small.model),
        trained(get_peft_model(ours.model, ours.peft_config)),
    ]

    quarter = loaded("qlora")
    packed = load_base(job(base, folder, "qlora"), tokenizer, [5, 6, 7, 8])
    packed.model = get_peft_model(packed.model, packed.peft_config)
    found["four_bits"] = [type(each.model.get_submodule(GATE).base_layer).__name__
                          for each in (quarter, packed)]  # fmt: skip
    found["gradients"] = [before_and_after(each.model) for each in (quarter, packed)]
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    found["qlora"] = loaded("qlora")
    other = folder / "small-bnb-4bit"
    for each in (other, folder / "small"):
        each.symlink_to(base, target_is_directory=True)
    found["other"] = loaded("lora", other)
    found["nothing_there"] = loaded("lora", folder / "empty")
    more = AutoTokenizer.from_pretrained(base)
    more.add_tokens([f"<{number}>" for number in range(5_000)])
    found["vocabulary"] = loaded("lora", base, more)
    return found


if __name__ == "__main__":
    print("RESULT" + json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
