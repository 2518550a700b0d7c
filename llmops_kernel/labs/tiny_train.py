"""Trains the tiny base. Runs in the training environment: ``python -m ... FOLDER``."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
from pathlib import Path
from typing import Any

from llmops_kernel.labs import bank

SEED = 7
VOCABULARY = 1_024
LENGTH = 96  # tokens of a row
STEPS, BATCH, RATE = 160, 8, 4e-3
DOCUMENT_SHARE = 0.35  # of the rows; the others are questions with their area

# Answers stand between marks that only training looks at; every turn ends in the same token.
TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'assistant' %}
{%- generation %}{{- message['content'] + '<|im_end|>' }}{%- endgeneration %}{{- '\\n' }}
{%- else %}{{- message['content'] + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def texts() -> tuple[list[str], list[tuple[str, str]]]:
    """Return the bank's paragraphs, and its questions with the area of each."""
    paragraphs = [
        " ".join(part.split())
        for path in sorted(bank.documents_folder().rglob("*.md"))
        for part in path.read_text(encoding="utf-8").split("\n\n")
        if len(part.split()) > 8
    ]
    return paragraphs, [(each.question, each.area) for each in bank.questions()]


def tokenizer_of(lines: list[str]) -> Any:
    """Train a byte-level BPE tokenizer with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    made.train_from_iterator(
        lines,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=marks,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=marks[0], eos_token=marks[2],
        additional_special_tokens=[marks[1]], model_max_length=512,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def model_of(tokenizer: Any) -> Any:
    """Make the untrained model: about 1.4 million parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,  # blocks of K-quants are 256 wide
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def train(out: Path) -> dict[str, float]:
    """Train tokenizer and model, and write them to a folder.

    Returns:
        ``parameters``, ``tokens`` read, ``first_loss`` and ``last_loss`` (nats a token).
    """
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(mode=True)
    paragraphs, questions = texts()
    tokenizer = tokenizer_of([*paragraphs, *(question for question, _ in questions)])
    model = model_of(tokenizer).train()
    rows = _Rows(tokenizer, paragraphs, questions)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    losses, read = [], 0
    for step in range(STEPS):
        share = min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        for group in optimiser.param_groups:
            group["lr"] = RATE * share
        ids, labels = rows.batch()
        loss = model(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long(),
                     labels=labels).loss  # fmt: skip
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        read += int((labels != -100).sum())
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.eval().save_pretrained(part)
    tokenizer.save_pretrained(part)
    facts = {
        "parameters": float(sum(each.numel() for each in model.parameters())),
        "tokens": float(read),
        "first_loss": losses[0],
        "last_loss": sum(losses[-20:]) / 20,
    }
    (part / "tiny.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)  # a training that was cut off, or another one that was faster
    part.replace(out)
    return facts


class _Rows:
    """Draws rows: a stretch of a document, or a question with the name of its area."""

    def __init__(
        self, tokenizer: Any, paragraphs: list[str], questions: list[tuple[str, str]]
    ) -> None:
        self._tokenizer = tokenizer
        self._stretches = [tokenizer(each)["input_ids"] for each in paragraphs]
        self._chats = [self._chat(question, area) for question, area in questions]
        self._draw = random.Random(SEED)  # noqa: S311 - no secret

    def _chat(self, question: str, area: str) -> list[int]:
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": area},
        ]
        text = self._tokenizer.apply_chat_template(messages, tokenize=False)
        ids: list[int] = self._tokenizer(text)["input_ids"]
        return ids[-LENGTH:]

    def batch(self) -> tuple[Any, Any]:
        import torch

        rows = [
            self._draw.choice(self._stretches)[:LENGTH]
            if self._draw.random() < DOCUMENT_SHARE
            else self._draw.choice(self._chats)
            for _ in range(BATCH)
        ]
        longest = max(map(len, rows))
        pad = self._tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        return ids, torch.where(ids == pad, -100, ids)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(train(Path(sys.argv[1]))) + "\n")
