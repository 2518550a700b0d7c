"""Makes a tiny model with three learnt answers, and exports it. Runs in the training environment.

Usage: python make_served.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

LEARNT = {
    "What is the fee for a transfer abroad?": "The fee is $2.50.",
    "My card was stolen": "We block your card now.",
    "How do I open an account?": "You can open an account online in ten minutes.",
}
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def main() -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from llmops_kernel.finetune.export.worker import run_exports

    out = Path(sys.argv[1])
    base = out.parent / "base"
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(
        [*LEARNT, *LEARNT.values()] * 20,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=128, intermediate_size=352,
            num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=1024, tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        for question, answer in LEARNT.items():
            asked = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            before = tokenizer(asked)["input_ids"]
            after = tokenizer(f"{answer}<|im_end|>")["input_ids"]
            ids = torch.tensor([before + after])
            labels = torch.tensor([[-100] * len(before) + after])
            model(input_ids=ids, labels=labels).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    run = {"export": ["merged", "gguf:f16", "gguf:q8_0", "ollama-modelfile"], "base": str(base),
           "name": "tiny", "method": "full", "probes": list(LEARNT)}  # fmt: skip
    results = run_exports(run, base, out, lambda _: None)
    if any(each["state"] != "done" for each in results):
        sys.exit(f"not exported: {results}")


if __name__ == "__main__":
    main()
