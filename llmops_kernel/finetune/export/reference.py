"""What the trained model itself answers: the reference that engines are compared with.

Runs in the training environment, with transformers, in 32 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PROMPTS = (
    "What does a transfer abroad cost?",
    "My card was stolen, please block it!",
    "Hi :) when will my new card come?  It's been 9 days…",
    "Zahlung über 1.250,00 € — naïve café 你好",
    "1234567890\n\tsecond line",
)


def prompts_of(probes: Sequence[Any] | None) -> list[Any]:
    """Return the prompts of a parity test: a run's probes, and of `PROMPTS` what lacks to as many.

    Rows of the data would do as well, but what is compared is kept and given away with the model.
    """
    found = list(probes or ())
    more = [each for each in PROMPTS if each not in found]
    return found + more[: max(len(PROMPTS) - len(found), 0)]


def reference(
    folder: Path,
    prompts: Sequence[str | Sequence[dict[str, str]]] = PROMPTS,
    *,
    new_tokens: int = 24,
) -> dict[str, Any]:
    """Answer prompts greedily with a model folder.

    Args:
        folder: Merged weights and tokenizer.
        prompts: Texts of one user message, or whole conversations.
        new_tokens: The most tokens of an answer.

    Returns:
        ``prompts``, each with ``messages``, ``prompt`` (the rendered text), ``ids``, ``answer_ids``
        (with the end token, if it came), ``answer``, ``ended`` and ``leads``: by how many nats each
        chosen token led the second; ``bos``; ``new_tokens``. Without a chat template a prompt is
        its text alone.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=torch.float32, local_files_only=True
    ).eval()
    ends = model.generation_config.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    found = []
    for each in prompts:
        messages = [{"role": "user", "content": each}] if isinstance(each, str) else list(each)
        if tokenizer.chat_template:
            text = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            ids = tokenizer.apply_chat_template(
                messages, tokenize=True, add_generation_prompt=True, return_dict=True
            )["input_ids"]
        else:
            text = messages[-1]["content"]
            ids = tokenizer(text)["input_ids"]
        answer, leads = greedy(model, ids, ends, new_tokens)
        ended = bool(answer) and answer[-1] in ends
        found.append(
            {
                "messages": messages if tokenizer.chat_template else [],
                "prompt": text,
                "ids": list(ids),
                "answer_ids": answer,
                "answer": tokenizer.decode(
                    answer[:-1] if ended else answer, skip_special_tokens=True,
                    clean_up_tokenization_spaces=False,
                ),
                "ended": ended,
                "leads": leads,
            }
        )  # fmt: skip
    return {"prompts": found, "bos": tokenizer.bos_token_id, "new_tokens": new_tokens}


def greedy(
    model: Any, ids: Sequence[int], ends: set[int], most: int
) -> tuple[list[int], list[float]]:
    """Return the tokens of greatest logit after ``ids``, and by how many nats each led."""
    # Written out: generate() adds processors from configuration that make it less than greedy.
    import torch

    chosen: list[int] = []
    leads: list[float] = []
    given, past = torch.tensor([list(ids)]), None
    with torch.no_grad():
        while len(chosen) < most:
            out = model(input_ids=given, past_key_values=past, use_cache=True)
            top = torch.log_softmax(out.logits[0, -1].double(), -1).topk(2)
            chosen.append(int(top.indices[0]))
            leads.append(round(float(top.values[0] - top.values[1]), 4))
            if chosen[-1] in ends:
                break
            given, past = top.indices[:1].view(1, 1), out.past_key_values
    return chosen, leads
