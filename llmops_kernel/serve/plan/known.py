"""Models known by name: the part of their published ``config.json`` that decides memory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.serve.plan.config import read_shape, shape_of

if TYPE_CHECKING:
    from llmops_kernel.serve.plan.shape import Shape

_KEYS = (
    "model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "intermediate_size", "vocab_size", "head_dim", "tie_word_embeddings",
    "max_position_embeddings",
)  # fmt: skip
_K = 1024

_DENSE: dict[str, tuple[Any, ...]] = {
    "llama-2-7b": ("llama", 4096, 32, 32, 32, 11008, 32000, 128, False, 4 * _K),
    "llama-2-13b": ("llama", 5120, 40, 40, 40, 13824, 32000, 128, False, 4 * _K),
    "llama-2-70b": ("llama", 8192, 80, 64, 8, 28672, 32000, 128, False, 4 * _K),
    "llama-3-8b": ("llama", 4096, 32, 32, 8, 14336, 128256, 128, False, 8 * _K),
    "llama-3-70b": ("llama", 8192, 80, 64, 8, 28672, 128256, 128, False, 8 * _K),
    "llama-3.1-8b": ("llama", 4096, 32, 32, 8, 14336, 128256, 128, False, 128 * _K),
    "llama-3.1-70b": ("llama", 8192, 80, 64, 8, 28672, 128256, 128, False, 128 * _K),
    "llama-3.1-405b": ("llama", 16384, 126, 128, 8, 53248, 128256, 128, False, 128 * _K),
    "llama-3.2-1b": ("llama", 2048, 16, 32, 8, 8192, 128256, 64, True, 128 * _K),
    "llama-3.2-3b": ("llama", 3072, 28, 24, 8, 8192, 128256, 128, True, 128 * _K),
    "llama-3.3-70b": ("llama", 8192, 80, 64, 8, 28672, 128256, 128, False, 128 * _K),
    "mistral-7b-v0.1": ("mistral", 4096, 32, 32, 8, 14336, 32000, 128, False, 32 * _K),
    "mistral-7b-v0.2": ("mistral", 4096, 32, 32, 8, 14336, 32000, 128, False, 32 * _K),
    "mistral-7b-v0.3": ("mistral", 4096, 32, 32, 8, 14336, 32768, 128, False, 32 * _K),
    "qwen2.5-0.5b": ("qwen2", 896, 24, 14, 2, 4864, 151936, 64, True, 32 * _K),
    "qwen2.5-1.5b": ("qwen2", 1536, 28, 12, 2, 8960, 151936, 128, True, 32 * _K),
    "qwen2.5-3b": ("qwen2", 2048, 36, 16, 2, 11008, 151936, 128, True, 32 * _K),
    "qwen2.5-7b": ("qwen2", 3584, 28, 28, 4, 18944, 152064, 128, False, 32 * _K),
    "qwen2.5-14b": ("qwen2", 5120, 48, 40, 8, 13824, 152064, 128, False, 32 * _K),
    "qwen2.5-32b": ("qwen2", 5120, 64, 40, 8, 27648, 152064, 128, False, 32 * _K),
    "qwen2.5-72b": ("qwen2", 8192, 80, 64, 8, 29568, 152064, 128, False, 32 * _K),
    "qwen3-0.6b": ("qwen3", 1024, 28, 16, 8, 3072, 151936, 128, True, 40 * _K),
    "qwen3-1.7b": ("qwen3", 2048, 28, 16, 8, 6144, 151936, 128, True, 40 * _K),
    "qwen3-4b": ("qwen3", 2560, 36, 32, 8, 9728, 151936, 128, True, 40 * _K),
    "qwen3-8b": ("qwen3", 4096, 36, 32, 8, 12288, 151936, 128, False, 40 * _K),
    "qwen3-14b": ("qwen3", 5120, 40, 40, 8, 17408, 151936, 128, False, 40 * _K),
    "qwen3-32b": ("qwen3", 5120, 64, 64, 8, 25600, 151936, 128, False, 40 * _K),
    "gemma-2-9b": ("gemma2", 3584, 42, 16, 8, 14336, 256000, 256, True, 8 * _K),
    "phi-4": ("phi3", 5120, 40, 40, 10, 17920, 100352, 128, False, 16 * _K),
    "opt-125m": ("opt", 768, 12, 12, 12, 3072, 50272, 64, True, 2 * _K),
    "opt-13b": ("opt", 5120, 40, 40, 40, 20480, 50272, 128, True, 2 * _K),
}

_SPARSE: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "mixtral-8x7b": (
        ("mixtral", 4096, 32, 32, 8, 14336, 32000, 128, False, 32 * _K),
        {"num_local_experts": 8, "num_experts_per_tok": 2},
    ),
    "qwen3-30b-a3b": (
        ("qwen3_moe", 2048, 48, 32, 4, 6144, 151936, 128, False, 40 * _K),
        {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
    ),
    "gpt-oss-20b": (
        ("gpt_oss", 2880, 24, 64, 8, 2880, 201088, 64, False, 128 * _K),
        {"num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 128,
         "quantization_config": {"quant_method": "mxfp4"}},
    ),
}  # fmt: skip

# Names that mean one of the above, and endings that say nothing about memory.
_SAME = {"mistral-7b": "mistral-7b-v0.3", "llama-3-1-8b": "llama-3.1-8b"}
_ENDINGS = re.compile(r"-(instruct|chat|it|hf|base|bf16|fp16)$")


def known_models() -> list[str]:
    """Return the names of the models that need no ``config.json``."""
    return sorted((*_DENSE, *_SPARSE))


def find_shape(model: str) -> Shape:
    """Return the shape of a model.

    Args:
        model: A known name, a registered one (``NAME`` or ``NAME@VERSION``), a ``config.json``, or
            a folder that has one, by itself or in ``merged/``.

    Raises:
        UsageProblem: There is neither such a file nor such a name.
    """
    from llmops_kernel.finetune.registry import Registry

    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").exists():
        return _of_exports(path, path.name)
    if path.suffix == ".json" or path.exists():
        return read_shape(path)
    name = _plain(model)
    if name in _DENSE:
        return shape_of(_config(_DENSE[name]), name)
    if name in _SPARSE:
        row, more = _SPARSE[name]
        return shape_of({**_config(row), **more}, name)
    registry = Registry()
    if model.partition("@")[0] in registry.names():
        return _of_exports(registry.get(model).folder, model)
    names = (*known_models(), *registry.names())
    raise UsageProblem(
        f"The planner does not know the model {model!r}{nearest(name, names)}",
        hint="Give a registered model, the path of its config.json, or one of: "
        + ", ".join(known_models()),
    )


def _of_exports(folder: Path, name: str) -> Shape:
    """Return the shape of what a training run has exported."""
    if (folder / "merged" / "config.json").exists():
        return replace(read_shape(folder / "merged"), name=name)
    raise UsageProblem(
        "The model's exports have no config.json",
        detail=f"{name}: {folder}",
        hint="Export merged, or give the config.json of the model it was trained on",
    )


def _plain(model: str) -> str:
    """Return a name without its owner, its spelling and what says nothing about memory."""
    name = model.strip().rpartition("/")[2].lower().replace("_", "-")
    name = name.removeprefix("meta-").replace("llama3", "llama-3").replace("llama2", "llama-2")
    while (shorter := _ENDINGS.sub("", name)) != name:
        name = shorter
    if re.fullmatch(r"(mistral-7b)-instruct-(v0\.\d)", name):
        name = name.replace("-instruct", "")
    return _SAME.get(name, name)


def _config(row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(_KEYS, row, strict=True))
