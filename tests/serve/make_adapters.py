"""Trains adapters with other answers on a tiny model. Runs in the training environment.

Usage: python make_adapters.py BASE OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from make_served import LEARNT

OTHERS = {
    "curt": {question: f"No. {number}" for number, question in enumerate(LEARNT, 1)},
    "kind": dict.fromkeys(LEARNT, "Dear friend, gladly."),
}


def main() -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llmops_kernel.finetune.export.worker import run_exports

    base, out = Path(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(base)
    for name, answers in OTHERS.items():
        torch.manual_seed(1)
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(base),
            LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
        for _ in range(80):
            for question, answer in answers.items():
                asked = tokenizer.apply_chat_template(
                    [{"role": "user", "content": question}], tokenize=False,
                    add_generation_prompt=True,
                )  # fmt: skip
                before = tokenizer(asked)["input_ids"]
                after = tokenizer(f"{answer}<|im_end|>")["input_ids"]
                labels = torch.tensor([[-100] * len(before) + after])
                loss = model(input_ids=torch.tensor([before + after]), labels=labels).loss
                loss.backward()
                optimiser.step()
                optimiser.zero_grad()
        checkpoint = out / f"{name}-checkpoint"
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
        run = {"export": ["adapter", "gguf-adapter", "merged", "gguf:q8_0"], "base": str(base),
               "name": name, "method": "lora", "probes": list(answers)}  # fmt: skip
        results = run_exports(run, checkpoint, out / name, lambda _: None)
        if any(each["state"] != "done" for each in results):
            sys.exit(f"not exported: {results}")


if __name__ == "__main__":
    main()
