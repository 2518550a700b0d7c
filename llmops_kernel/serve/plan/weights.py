"""Bytes of a model's weights in each way of storing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.serve.plan.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.serve.plan.shape import Linear, Shape

# Bytes of a quantised weight. AWQ and GPTQ with groups of 128: four bits, a 16-bit scale and a
# 4-bit zero point a group. NF4 with double quantisation: four bits, an 8-bit scale for 64 weights,
# and a 32-bit one for 256 of those.
_QUANTISED = {
    "fp8": 1.0,
    "int8": 1.0,
    "awq": 0.5 + 2 / 128 + 0.5 / 128,
    "gptq": 0.5 + 2 / 128 + 0.5 / 128,
    "nf4": 0.5 + 1 / 64 + 4 / (64 * 256),
    "mxfp4": 0.5 + 1 / 32,
}
_PLAIN = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0}

# Bits a weight in llama.cpp's block formats, scales included.
_BLOCK_BITS = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.5625,
    "Q5_K": 5.5,
    "Q5_1": 6.0,
    "Q5_0": 5.5,
    "Q4_K": 4.5,
    "Q4_1": 5.0,
    "Q4_0": 4.5,
    "Q3_K": 3.4375,
}
# Where a row is no multiple of 256, K-quants give way to the next larger format of 32.
_FALLBACK = {"Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
_RECIPES = {
    "f32": "F32", "f16": "F16", "q8_0": "Q8_0", "q6_k": "Q6_K", "q5_k_m": "Q5_K", "q5_k_s": "Q5_K",
    "q5_1": "Q5_1", "q5_0": "Q5_0", "q4_k_m": "Q4_K", "q4_k_s": "Q4_K", "q4_1": "Q4_1",
    "q4_0": "Q4_0", "q3_k_m": "Q3_K",
}  # fmt: skip
_AS_STORED = ("F32", "F16", "Q8_0")  # every matrix alike

DTYPES = (*_PLAIN, *_QUANTISED, *(f"gguf:{name}" for name in _RECIPES))
_SAME = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "fp4": "nf4", "int4": "awq",
         "16-bit": "bf16", "f16": "gguf:f16", "f32": "gguf:f32"}  # fmt: skip


def dtype_named(name: str) -> str:
    """Return our name for a way of storing weights: ``bf16``, ``awq``, ``gguf:q4_k_m`` and others.

    Raises:
        UsageProblem: There is no such way.
    """
    asked = name.strip().lower()
    asked = _SAME.get(asked, asked)
    if asked in DTYPES:
        return asked
    if f"gguf:{asked}" in DTYPES:
        return f"gguf:{asked}"
    raise UsageProblem(
        f"The planner does not know weights stored as {name!r}{nearest(asked, DTYPES)}",
        hint=f"Choose {', '.join(DTYPES)}",
    )


def weight_bytes(shape: Shape, dtype: str) -> Figure:
    """Return the bytes of all weights; embeddings, head and norms stay 16-bit unless all do.

    Args:
        shape: The model.
        dtype: As `dtype_named` returns it.
    """
    if dtype.startswith("gguf:"):
        return Figure.exact(_gguf_bytes(shape, dtype.removeprefix("gguf:")), "llama.cpp's recipe")
    if (each := _PLAIN.get(dtype)) is not None:
        return Figure.exact(shape.parameters * each, f"parameters x {each:g} B")
    each = _QUANTISED[dtype]
    quantised = shape.expert_parameters if dtype == "mxfp4" else shape.linear_parameters
    rest = shape.parameters - quantised
    total = quantised * each + rest * 2
    anchor = f"quantised matrices x {each:.4f} B + the rest x 2 B"
    if dtype == "mxfp4":
        # gpt-oss-20b was measured 5 % above the formula: its kernels pad experts.
        return Figure(total, total * 1.03, total * 1.08, f"{anchor}; gpt-oss-20b: 13.47 GiB loaded")
    return Figure.exact(total, anchor)


def bits_per_weight(shape: Shape, dtype: str) -> float:
    """Return the bits of a weight on average over all parameters."""
    return weight_bytes(shape, dtype).best * 8 / shape.parameters


def _gguf_bytes(shape: Shape, recipe: str) -> float:
    base = _RECIPES[recipe]
    pick = _picker(shape, recipe, base)
    bits = sum(each.size * _bits(pick(each), each.inputs) for each in shape.linears())
    head = base if base in _AS_STORED else "Q6_K"
    if shape.tied:  # the embedding is the head, and is stored like one
        bits += shape.embedding_parameters * _bits(head, shape.hidden)
    else:
        bits += shape.embedding_parameters * _bits(base, shape.hidden)
        bits += shape.head_parameters * _bits(head, shape.hidden)
    return (bits + shape.small_parameters * 32) / 8


def _picker(shape: Shape, recipe: str, base: str) -> Callable[[Linear], str]:
    """Return which format each matrix gets (llama.cpp, ``src/llama-quant.cpp``)."""
    layers = shape.layers
    large = shape.family == "llama" and layers == 80 and shape.kv_heads != shape.heads

    def more(layer: int) -> bool:
        first = layers // 8
        return layer < first or layer >= 7 * layers // 8 or (layer - first) % 3 == 2

    def medium(each: Linear, better: str) -> str:
        return better if each.kind in ("attn_v", "ffn_down") and more(each.layer) else base

    def pick(each: Linear) -> str:
        kind, layer = each.kind, each.layer
        found = base
        if recipe in ("q4_k_m", "q5_k_m"):
            found = medium(each, "Q6_K")
        elif recipe == "q4_k_s":
            early = layer < 4 if kind == "attn_v" else kind == "ffn_down" and layer < layers // 8
            found = "Q5_K" if early else base
        elif recipe == "q3_k_m":
            if kind == "attn_v":
                found = "Q5_K" if layer < 2 else "Q4_K"
            elif kind == "ffn_down":
                found = "Q5_K" if layer < layers // 16 else "Q4_K"
            elif kind == "attn_output":
                found = "Q4_K"
        if large and kind == "attn_v" and found in ("Q3_K", "Q4_K"):
            found = "Q5_K"
        if shape.experts == 8 and kind in ("attn_k", "attn_v") and base not in ("F32", "F16"):
            found = "Q8_0"
        return found

    return pick


def _bits(kind: str, row: int) -> float:
    if kind in _FALLBACK and row % 256:
        kind = _FALLBACK[kind]
    if kind not in ("F32", "F16", "BF16") and row % 32:
        kind = "F16"
    return _BLOCK_BITS[kind]
