"""A tiny model that has learnt a dozen answers by heart: small enough to serve on any machine.

Llama's architecture, trained from nothing in seconds, exported and registered like any other. It
knows these answers and nothing else. What serving is about does not depend on more.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import RunFailed
from llmops_kernel.labs import tiny

if TYPE_CHECKING:
    from llmops_kernel.finetune.registry import Version

MODULE = "llmops_kernel.labs.tiny_served"
NAME = "moorhen-faq"
SEED, STEPS, RATE = 7, 90, 3e-3
LEARNT = {
    "What does a transfer abroad cost?": "A transfer abroad costs $2.50.",
    "My card was stolen, please block it.": "We block your card now. A new one is on its way.",
    "How do I open an account?": "Open it in the app: it takes ten minutes and an identity card.",
    "When does my new card arrive?": "Your new card arrives within five working days.",
    "Why was my payment declined?": "Open the payment in the app: the reason stands below it.",
    "How can I change my address?": "Change it in the app under Profile, Address.",
    "What is the limit for cash withdrawals?": "You can withdraw $500 a day.",
    "I forgot my password.": "Choose Forgot password in the app, and follow the mail we send.",
    "How long does a transfer take?": "Within the country it takes seconds, abroad two days.",
    "How do I close my account?": "Close it in the app under Profile, once its balance is zero.",
    "I see a charge that I do not know.": "Open it and choose Dispute: we look into it in a day.",
    "How do I reach the support by phone?": "Call us from 8 to 20 on working days.",
}
_EXPORTS = ("merged", "gguf:q8_0", "ollama-modelfile")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_served(name: str = NAME) -> Version:
    """Return the model from the registry; it is trained and exported on first use.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: Training or export failed.
    """
    from llmops_kernel.finetune.registry import Registry

    registry = Registry()
    if name in registry.names():
        return registry.get(name)
    failed = "The tiny model could not be made"
    with tempfile.TemporaryDirectory(prefix="llmops-tiny-") as folder:
        said = tiny.run_beside([MODULE, folder], failed)
        states = json.loads(said.splitlines()[-1])
        if wrong := next((each for each in states if each["state"] != "done"), None):
            raise RunFailed(failed, detail=str(wrong))
        record = {
            "config": {"steps": STEPS, "rate": RATE, "seed": SEED, "exports": list(_EXPORTS)},
            "data": {"sha256": hashlib.sha256(json.dumps(LEARNT).encode()).hexdigest(),
                     "rows": len(LEARNT)},
            "base": {"name": "nothing", "sha256": hashlib.sha256(b"").hexdigest()},
            "exports": states,
            "task": "chat",
        }  # fmt: skip
        return registry.register(name, Path(folder) / "out", record)


def train(base: Path) -> None:
    """Train tokenizer and model; runs in the training environment."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        [*LEARNT, *LEARNT.values()],
        trainers.BpeTrainer(
            vocab_size=512, special_tokens=marks, initial_alphabet=letters, show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=marks[0], eos_token=marks[2],
        additional_special_tokens=[marks[1]], model_max_length=1_024,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = _TEMPLATE
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384,
            num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=1_024, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    ids, labels = _batch(tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE)
    for _ in range(STEPS):
        mask = (ids != tokenizer.pad_token_id).long()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    model.eval().save_pretrained(base)
    tokenizer.save_pretrained(base)


def _batch(tokenizer: Any) -> tuple[Any, Any]:
    """Return all questions with their answers; only the answers are learnt."""
    import torch

    rows = []
    for question, answer in LEARNT.items():
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        before = tokenizer(asked)["input_ids"]
        rows.append((before, tokenizer(f"{answer}{tokenizer.eos_token}")["input_ids"]))
    longest = max(len(before) + len(after) for before, after in rows)
    ids, labels = [], []
    for before, after in rows:
        fill = longest - len(before) - len(after)
        ids.append(before + after + [tokenizer.pad_token_id] * fill)
        labels.append([-100] * len(before) + after + [-100] * fill)
    return torch.tensor(ids), torch.tensor(labels)


def _make(folder: Path) -> list[dict[str, Any]]:
    from transformers.utils import logging

    from llmops_kernel.finetune.export.worker import run_exports

    logging.set_verbosity_error()
    train(folder / "base")
    run = {"export": list(_EXPORTS), "base": str(folder / "base"), "name": NAME, "method": "full",
           "probes": list(LEARNT)}  # fmt: skip
    return run_exports(run, folder / "base", folder / "out", lambda _: None)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_make(Path(sys.argv[1]))) + "\n")
