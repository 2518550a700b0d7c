"""QLoRA with TRL for real: adapters on 4-bit weights, merged into the base as it was."""

from __future__ import annotations

import json
from pathlib import Path

from finetune_rows import spec_text

from llmops_kernel.finetune import read_spec, start
from llmops_kernel.finetune.registry import Registry


def test_adapters_on_four_bits_with_trl(trained_base: Path, data: Path, trl: Path) -> None:
    assert trl.exists()
    more = "train: {max_steps: 8, lr: 1.0e-3}\nexport: [adapter, merged]\nregister: quarter"
    run = start(read_spec(spec_text(trained_base, data, method="qlora", more=more)), "quarter")
    outcome = run.wait(300.0)
    assert outcome["state"] == "done", (outcome, run.log())
    losses = [loss for _, loss in run.progress.eval_loss]
    # Evaluated before, during and after: gradients through repacked weights would ruin it.
    assert losses[-1] <= losses[0]
    adapter = json.loads((run.folder.final / "adapter_config.json").read_text())
    assert adapter["peft_type"] == "LORA"
    merged = next(each for each in run.trained["exports"] if each["export"] == "merged")
    assert merged["state"] == "done"
    assert (Registry().get("quarter").folder / "merged" / "model.safetensors").is_file()
