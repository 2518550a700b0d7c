"""What the model answers: greedily, in batches, in the state it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH = 32


def answer(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Any],
    *,
    system: str | None = None,
    new_tokens: int = 48,
) -> list[str]:
    """Return the greedy answers to prompts.

    Args:
        model: The model; its mode (training or not) is put back.
        tokenizer: Its tokenizer.
        prompts: Texts, or conversations that end in a user's message.
        system: A system message for those that have none.
        new_tokens: The most tokens of an answer.
    """
    import torch

    texts = [_rendered(tokenizer, each, system) for each in prompts]
    was_training, side, cached = model.training, tokenizer.padding_side, model.config.use_cache
    had_pad = tokenizer.pad_token
    tokenizer.padding_side = "left"
    tokenizer.pad_token = had_pad or tokenizer.eos_token
    model.eval()
    model.config.use_cache = True
    answers: list[str] = []
    try:
        with torch.no_grad():
            for start in range(0, len(texts), _BATCH):
                # Rendered text has its own start token, where the template writes one.
                batch = tokenizer(
                    texts[start : start + _BATCH], return_tensors="pt", padding=True,
                    add_special_tokens=not tokenizer.chat_template, return_token_type_ids=False,
                ).to(model.device)  # fmt: skip
                made = model.generate(
                    **batch, max_new_tokens=new_tokens, do_sample=False,
                    pad_token_id=tokenizer.pad_token_id, top_p=None, temperature=None, top_k=None,
                )  # fmt: skip
                width = batch["input_ids"].shape[1]
                answers += tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
    finally:
        model.config.use_cache = cached
        tokenizer.padding_side, tokenizer.pad_token = side, had_pad
        model.train(was_training)
    return answers


def exactly_right(
    model: Any, tokenizer: Any, rows: Sequence[dict[str, Any]], *, system: str | None = None
) -> dict[str, Any]:
    """Count the rows whose last answer the model gives word for word.

    Returns:
        ``answered``, ``exact``, and a few ``wrong`` ones with ``wanted`` and ``got``.
    """
    prompts: list[Any] = []
    wanted: list[str] = []
    for row in rows:
        if "messages" in row:
            prompts.append(row["messages"][:-1])
            wanted.append(str(row["messages"][-1]["content"]).strip())
        else:
            prompts.append(row["prompt"])
            wanted.append(str(row["completion"]).strip())
    longest = max((len(tokenizer(each)["input_ids"]) for each in wanted), default=1)
    got = [
        each.strip()
        for each in answer(
            model, tokenizer, prompts, system=system, new_tokens=min(longest + 4, 256)
        )
    ]
    wrong = [
        {"wanted": want[:200], "got": have[:200]}
        for want, have in zip(wanted, got, strict=True)
        if want != have
    ]
    return {"answered": len(wanted), "exact": len(wanted) - len(wrong), "wrong": wrong[:10]}


def _rendered(tokenizer: Any, prompt: Any, system: str | None) -> str:
    if isinstance(prompt, str):
        if not tokenizer.chat_template:
            return prompt
        prompt = [{"role": "user", "content": prompt}]
    if not tokenizer.chat_template:
        return str(prompt[-1]["content"])
    if system and prompt[0]["role"] != "system":
        prompt = [{"role": "system", "content": system}, *prompt]
    return str(tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True))
