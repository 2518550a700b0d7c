"""The estimate of a training's memory, against published figures and plain accounting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llmops_kernel.finetune.worker.loading import saved_whole
from llmops_kernel.finetune.worker.memory import Shape, estimate, shape_of
from llmops_kernel.finetune.worker.trainer import steps_of

GB = 1e9
# Llama 3 8B; adapters of rank 16 on all linear layers have 41.94 M parameters.
LLAMA = {"parameters": 8_030_000_000, "embedding": 1_050_673_152, "hidden": 4_096,
         "inner": 14_336, "layers": 32, "heads": 32, "vocabulary": 128_256}  # fmt: skip


def parts(trainable: int, **options: Any) -> dict[str, int]:
    given = {"method": "lora", "precision": "bf16", "tokens": 1_000, "longest": 1_000,
             "checkpointing": True, "gpu": True, **options}  # fmt: skip
    return estimate(Shape(trainable=trainable, **LLAMA), **given)


@pytest.mark.parametrize("tokens", [1_000, 2_551, 5_789])
def test_qlora_lies_between_two_published_lines(tokens: int) -> None:
    """Rank 32: 7.37 GB + 0.212 MB a token with fused kernels, 9.70 GB + 2.47 MB without."""
    found = parts(83_886_080, method="qlora", tokens=tokens, longest=tokens)
    fused, plain = 7.37 * GB + 0.212e6 * tokens, 9.70 * GB + 2.47e6 * tokens
    assert found["low"] <= 1.2 * fused
    assert found["high"] >= fused
    assert found["high"] >= 0.8 * plain
    assert found["low"] <= found["high"] <= 1.3 * plain


def test_bytes_of_a_parameter() -> None:
    whole = parts(LLAMA["parameters"], method="full")
    states = whole["weights"] + whole["gradients"] + whole["optimizer"]
    assert states == 16 * LLAMA["parameters"]
    lora = parts(41_943_040)
    assert lora["optimizer"] + lora["gradients"] == 12 * 41_943_040
    assert lora["weights"] == pytest.approx(2 * LLAMA["parameters"], rel=0.01)


def test_what_saves_memory_does() -> None:
    whole = parts(10**7, checkpointing=False)
    assert parts(10**7)["activations"] < 0.2 * whole["activations"]
    assert parts(10**7)["high"] < whole["high"]
    assert parts(10**7, method="qlora")["weights"] < 0.4 * parts(10**7)["weights"]
    assert parts(10**7, tokens=100)["high"] < parts(10**7)["high"]


def test_a_configuration_that_says_little() -> None:
    shape = shape_of(SimpleNamespace(hidden_size=64, vocab_size=300), 10, 5, 2)
    assert (shape.inner, shape.layers, shape.heads) == (256, 1, 1)


def test_small_bases_train_their_embeddings() -> None:
    assert saved_whole(800_000, tied=True) == ["embed_tokens"]
    assert saved_whole(800_000, tied=False) == ["embed_tokens", "lm_head"]
    assert saved_whole(10**9, tied=True) == []


@pytest.mark.parametrize(
    ("train", "rows", "steps"),
    [({"max_steps": 7, "batch": 8, "accumulate": 1, "epochs": 3}, 100, 7),
     ({"max_steps": None, "batch": 8, "accumulate": 1, "epochs": 3}, 108, 42),
     ({"max_steps": None, "batch": 8, "accumulate": 4, "epochs": 2}, 100, 8),
     ({"max_steps": None, "batch": 64, "accumulate": 8, "epochs": 1}, 10, 1),
     ({"max_steps": None, "batch": 8, "accumulate": 1, "epochs": 0.5}, 80, 5)],
)  # fmt: skip
def test_steps_are_known_before_the_training(train: dict[str, Any], rows: int, steps: int) -> None:
    assert steps_of(train, rows) == steps
