"""Reading a model's ``config.json`` as its shape: one name for what each family calls its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.plan.shape import PLAIN_MLP, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Families whose embedding is the head too, unless their config says otherwise.
_TIED = {"gemma", "gemma2", "gemma3", "gemma3_text", "opt", "gpt2"}


def shape_of(config: Mapping[str, Any], name: str = "model") -> Shape:
    """Read a Hugging Face ``config.json``.

    Raises:
        UsageProblem: Something is missing, or the architecture is one the planner cannot count.
    """
    inner = config.get("text_config")
    if isinstance(inner, dict):  # a model of text and images: its language part
        config = {**inner, "model_type": inner.get("model_type", config.get("model_type", ""))}
    family = str(config.get("model_type", ""))
    if config.get("kv_lora_rank"):
        raise UsageProblem(
            "The planner cannot count models with latent attention",
            detail=f"{name}: kv_lora_rank is set",
            hint="Give a model with plain or grouped-query attention",
        )

    def needed(*keys: str) -> int:
        for key in keys:
            if config.get(key) is not None:
                return _whole(name, key, config[key])
        raise UsageProblem(
            f"The model's config has no {keys[0]}",
            detail=name,
            hint="Give the config.json of a decoder-only language model",
        )

    def maybe(*keys: str) -> int:
        found = next((config[key] for key in keys if config.get(key) is not None), 0)
        return _whole(name, keys[0], found, least=0)

    hidden, heads = (
        needed("hidden_size", "n_embd", "d_model"),
        needed("num_attention_heads", "n_head"),
    )
    layers = needed("num_hidden_layers", "n_layer", "num_layers")
    experts = maybe("num_local_experts", "num_experts", "n_routed_experts")
    dense_width = maybe("intermediate_size", "ffn_dim", "n_inner") or (
        4 * hidden if family == "gpt2" else 0
    )
    if not dense_width and not experts:
        needed("intermediate_size")
    expert_width = maybe("moe_intermediate_size") or dense_width
    shared = maybe("shared_expert_intermediate_size") or (maybe("n_shared_experts") * expert_width)
    window = maybe("sliding_window") if config.get("use_sliding_window", True) else 0
    kinds = config.get("layer_types")
    windowed = 0
    if window and isinstance(kinds, list):
        windowed = sum(kind == "sliding_attention" for kind in kinds)
    elif window and family not in ("gemma2", "gemma3", "gemma3_text", "gpt_oss"):
        windowed = layers
    elif window:
        windowed = layers // 2
    positions = maybe("max_position_embeddings", "n_positions") if family in PLAIN_MLP else 0
    return Shape(
        name=name,
        family=family,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=maybe("num_key_value_heads") or heads,
        head_dim=maybe("head_dim") or hidden // heads,
        intermediate=dense_width,
        vocab=needed("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", family in _TIED)),
        experts=experts,
        active_experts=maybe("num_experts_per_tok", "experts_per_token"),
        expert_width=expert_width if experts else 0,
        shared_width=shared,
        dense_layers=maybe("first_k_dense_replace"),
        window=window if windowed else 0,
        windowed_layers=windowed,
        positions=positions + 2 if family == "opt" else positions,
        context=_context(config, maybe("max_position_embeddings", "n_positions")),
        quantisation=_stored_as(config.get("quantization_config")),
    )


def _context(config: Mapping[str, Any], tokens: int) -> int:
    """Return how many tokens the model reads: some scalings stretch what the config says.

    Where the scaling is none of these, ``max_position_embeddings`` has it in already (llama3).
    """
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(scaling, dict):
        return tokens
    factor = scaling.get("factor")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or factor < 1:
        return tokens
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "yarn":
        before = scaling.get("original_max_position_embeddings")
        made = int((before if isinstance(before, int) else tokens) * factor)
        return max(tokens, made)
    return int(tokens * factor) if kind in ("linear", "dynamic") else tokens


def read_shape(path: Path) -> Shape:
    """Read a ``config.json``, or the one in a model's folder.

    Raises:
        UsageProblem: It is not there, or no such config.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageProblem("The model's config does not exist", detail=str(file)) from error
    except (OSError, ValueError) as error:
        raise UsageProblem(
            "The model's config cannot be read", detail=f"{file}: {error}"
        ) from error
    if not isinstance(config, dict):
        raise UsageProblem("The model's config is not a JSON object", detail=str(file))
    name = config.get("_name_or_path") or (path.name if path.is_dir() else path.parent.name)
    return shape_of(config, str(name) or "model")


def _whole(name: str, key: str, value: object, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageProblem(
            f"{key} of the model's config is not a number of at least {least}",
            detail=f"{name}: {value!r}",
        )
    return value


def _stored_as(config: object) -> str:
    """Return our name for how a ``quantization_config`` stores weights."""
    if not isinstance(config, dict):
        return ""
    method = str(config.get("quant_method", ""))
    if method == "bitsandbytes" or not method:
        return "nf4" if config.get("load_in_4bit") else "int8" if config.get("load_in_8bit") else ""
    if method in ("gptq", "awq"):
        return method if config.get("bits", config.get("w_bit", 4)) == 4 else "int8"
    return method if method in ("fp8", "mxfp4") else ""
