"""A tiny model that has learnt some answers by heart: small enough to serve on any machine.

Llama's architecture, trained from nothing in seconds, exported and registered like any other. It
knows these answers (a dozen, if no others are given) and nothing else. What serving is about does
not depend on more.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import RunFailed
from llmops_kernel.labs import tiny

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.finetune.registry import Registry, Version

MODULE = "llmops_kernel.labs.tiny_served"
NAME = "moorhen-faq"
SEED = 7
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
_ASKED = "asked.json"  # what the process that trains is told
_FIRST, _LOOK = 80, 5  # steps before the first look at what is learnt, and between looks
_EXPORTS = ("merged", "gguf:q8_0", "ollama-modelfile")
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tiny model is made.

    Attributes:
        vocabulary: Tokens at most. With about 500 a word is several tokens; with as many as there
            are words, texts are a third as long, and are learnt as much faster.
        layers: Layers.
        rate: Learning rate.
        batch: Questions of a step; 0 for all of them.
        steps: Steps at most.
        lead: Nats by which each token of each answer must lead the second before training ends.
            What is not known so well yet is asked more often. 0 trains for all steps and asks for
            nothing.
    """

    vocabulary: int = 512
    layers: int = 4
    rate: float = 3e-3
    batch: int = 0
    steps: int = 90
    lead: float = 0.0


PLAIN = Recipe()
# For some dozens of answers. Ending only where every token leads clearly makes every engine, and
# 8-bit weights, give the very same answers.
BY_HEART = Recipe(vocabulary=2_048, layers=1, rate=4e-3, batch=12, steps=600, lead=3.0)


def tiny_served(
    name: str = NAME, learnt: Mapping[str, str] | None = None, recipe: Recipe = PLAIN
) -> Version:
    """Return a model that knows these answers; it is trained and exported on first use.

    The same name with other answers is another version of the model; the name alone then means the
    one that was asked for last.

    Args:
        name: The model's name in the registry.
        learnt: Answers by question (default: `LEARNT`).
        recipe: How it is made.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: Training or export failed, or the answers were not learnt.
    """
    from llmops_kernel.finetune.registry import Registry
    from llmops_kernel.finetune.registry.version import version_of

    learnt = dict(LEARNT if learnt is None else learnt)
    rows = json.dumps(learnt, ensure_ascii=False)
    record: dict[str, Any] = {
        "config": {**asdict(recipe), "seed": SEED, "exports": list(_EXPORTS)},
        "data": {"sha256": hashlib.sha256(rows.encode()).hexdigest(), "rows": len(learnt)},
        "base": {"name": "nothing", "sha256": hashlib.sha256(b"").hexdigest()},
        "task": "chat",
    }
    registry = Registry()
    made = version_of(record["config"], record["data"], record["base"])
    if any(each.version == made for each in registry.list(name)):
        return _current(registry, name, made)
    failed = "The tiny model could not be made"
    with tempfile.TemporaryDirectory(prefix="llmops-tiny-") as folder:
        asked = {"name": name, "learnt": learnt, "recipe": asdict(recipe)}
        (Path(folder) / _ASKED).write_text(json.dumps(asked), encoding="utf-8")
        said = tiny.run_beside([MODULE, folder], failed)
        states = json.loads(said.splitlines()[-1])
        if wrong := next((each for each in states if each["state"] != "done"), None):
            raise RunFailed(failed, detail=str(wrong))
        registry.register(name, Path(folder) / "out", {**record, "exports": states})
    return _current(registry, name, made)


def _current(registry: Registry, name: str, version: str) -> Version:
    """Return a version, and see to it that the name alone means this one."""
    if registry.get(name).version != version:
        return registry.promote(f"{name}@{version}")
    return registry.get(name)


def stop_left_over(name: str) -> bool:
    """Stop the server that an earlier run has left under a name; say whether there was one.

    It may serve other answers, and a server that is only taken over has been checked by nobody.
    """
    from llmops_kernel.serve import record as records
    from llmops_kernel.serve.servers.stopping import stop_server

    return name in records.names() and stop_server(name)


def train(base: Path, learnt: Mapping[str, str] | None = None, recipe: Recipe = PLAIN) -> None:
    """Train tokenizer and model; runs in the training environment.

    Raises:
        RunFailed: The answers were not learnt.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    learnt = LEARNT if learnt is None else learnt
    tokenizer = _tokenizer(learnt, recipe.vocabulary)
    torch.manual_seed(SEED)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384,
            num_hidden_layers=recipe.layers, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=1_024, tie_word_embeddings=True, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip
    ids, labels = _rows(tokenizer, learnt)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate)
    order = _Order(len(ids), recipe)
    least = -1.0
    for step in range(recipe.steps):
        if recipe.lead and step >= _FIRST and step % _LOOK == 0:
            leads = _leads(model, ids, labels)
            least = min(leads)
            if least >= recipe.lead:
                break
            order.hardest = sorted(range(len(ids)), key=leads.__getitem__)
        chosen = order.batch()
        longest = int((ids[chosen] != tokenizer.pad_token_id).sum(1).max())
        some = ids[chosen, :longest]
        mask = (some != tokenizer.pad_token_id).long()
        model(input_ids=some, attention_mask=mask, labels=labels[chosen, :longest]).loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    if least < recipe.lead and recipe.lead:
        raise RunFailed(
            "The answers were not learnt",
            detail=f"after {recipe.steps} steps a token leads by {least:.1f} nats, "
            f"not by {recipe.lead:g}",
        )
    model.eval().save_pretrained(base)
    tokenizer.save_pretrained(base)


def _tokenizer(learnt: Mapping[str, str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    marks = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    words.train_from_iterator(
        [*learnt, *learnt.values()],
        trainers.BpeTrainer(
            vocab_size=vocabulary, special_tokens=marks, initial_alphabet=letters,
            show_progress=False,
        ),
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token=marks[0], eos_token=marks[2],
        additional_special_tokens=[marks[1]], model_max_length=1_024,
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


class _Order:
    """Which rows each step takes: all of them, or in turn, or the hardest with some others."""

    def __init__(self, rows: int, recipe: Recipe) -> None:
        self._rows = list(range(rows))
        self._size = min(recipe.batch, rows)
        self._draw = random.Random(SEED)  # noqa: S311 - no secret
        self._waiting: list[int] = []
        self.hardest: list[int] = []  # first; empty until somebody has looked

    def batch(self) -> list[int]:
        if not self._size:
            return self._rows
        if self.hardest:
            hard = self.hardest[: (self._size + 1) // 2]
            others = [each for each in self._rows if each not in hard]
            return hard + self._draw.sample(others, self._size - len(hard))
        if len(self._waiting) < self._size:
            self._waiting += self._draw.sample(self._rows, len(self._rows))
        chosen, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return chosen


def _leads(model: Any, ids: Any, labels: Any) -> list[float]:
    """Return each row's least lead of a right token over the second; below zero where wrong."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=ids).logits[:, :-1]
    wanted = labels[:, 1:]
    best = logits.topk(2, dim=-1)
    ahead = best.values[..., 0] - best.values[..., 1]
    ahead = torch.where(best.indices[..., 0] == wanted, ahead, -ahead)
    least = ahead.masked_fill(wanted == -100, float("inf")).amin(1)
    return [float(each) for each in least]


def _rows(tokenizer: Any, learnt: Mapping[str, str]) -> tuple[Any, Any]:
    """Return all questions with their answers; only the answers are learnt."""
    import torch

    rows = []
    for question, answer in learnt.items():
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
    asked = json.loads((folder / _ASKED).read_text(encoding="utf-8"))
    train(folder / "base", asked["learnt"], Recipe(**asked["recipe"]))
    run = {"export": list(_EXPORTS), "base": str(folder / "base"), "name": asked["name"],
           "method": "full", "probes": list(asked["learnt"])}  # fmt: skip
    return run_exports(run, folder / "base", folder / "out", lambda _: None)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_make(Path(sys.argv[1]))) + "\n")
