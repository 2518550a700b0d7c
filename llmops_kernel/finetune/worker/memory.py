"""How much memory a training takes, before it takes it.

Bytes per parameter and activations by the usual accounting (weights, gradients, two moments of
AdamW; activations with and without recomputation), in a range, because allocators, fragmentation
and kernels differ. The dry run then measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_NF4 = 0.5159  # bytes of a weight in NF4 with double quantisation (4.13 bits)
# Resident bytes of torch, transformers and trl on a CPU; a GPU's context and allocator.
_LIBRARIES = (400_000_000, 600_000_000)
_CONTEXT = (500_000_000, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the estimate needs to know of a model.

    Attributes:
        parameters: All of them.
        trainable: Those that are trained.
        embedding: Those of embeddings and head, which stay 16-bit when the rest is quantised.
        hidden: Width of the residual stream.
        inner: Width within the feed-forward layers.
        layers: How many layers.
        heads: Attention heads.
        vocabulary: Tokens there are.
    """

    parameters: int
    trainable: int
    embedding: int
    hidden: int
    inner: int
    layers: int
    heads: int
    vocabulary: int


def shape_of(config: Any, parameters: int, trainable: int, embedding: int) -> Shape:
    """Return the shape of a model from its configuration, with usual values where it is silent."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    hidden = int(getattr(text, "hidden_size", 0) or 0)
    return Shape(
        parameters,
        trainable,
        embedding,
        hidden,
        int(getattr(text, "intermediate_size", 0) or 4 * hidden),
        int(getattr(text, "num_hidden_layers", 0) or 1),
        int(getattr(text, "num_attention_heads", 0) or 1),
        int(getattr(text, "vocab_size", 0) or 0),
    )


def estimate(
    shape: Shape,
    *,
    method: str,
    precision: str,
    tokens: int,
    longest: int,
    checkpointing: bool,
    gpu: bool,
) -> dict[str, int]:
    """Return the parts of the memory in bytes, and ``low`` and ``high`` of the whole.

    Args:
        shape: The model's.
        method: ``full``, ``lora`` or ``qlora``.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        tokens: Tokens of a batch on the device, padding included.
        longest: Tokens of its longest row.
        checkpointing: Whether activations are recomputed.
        gpu: Whether it is a GPU's memory.
    """
    width = _BYTES[precision]
    if method == "qlora":
        frozen = shape.parameters - shape.trainable - shape.embedding
        weights = frozen * _NF4 + shape.embedding * 2 + shape.trainable * 4
    elif method == "lora":
        # PEFT keeps adapters in 32 bits, whatever the base has.
        weights = (shape.parameters - shape.trainable) * width + shape.trainable * 4
    else:
        weights = shape.parameters * 4
    moments = shape.trainable * 8
    gradients = shape.trainable * 4
    # A layer keeps about ten tensors of the hidden width, three of the inner one, and attention's.
    layer = tokens * (10 * shape.hidden + 3 * shape.inner) * width
    layer += tokens * longest * shape.heads * width * (0 if gpu else 1)
    if checkpointing:
        activations = shape.layers * tokens * shape.hidden * width + layer
    else:
        activations = shape.layers * layer
    # The fused head works in chunks; the evaluation and older versions hold all logits in 32 bits.
    logits_low, logits_high = tokens * shape.vocabulary, tokens * shape.vocabulary * (width + 8)
    fixed = weights + moments + gradients
    least, most = _CONTEXT if gpu else _LIBRARIES
    # Allocators round up and leave gaps: a fifth more or less is as good as such a sum gets.
    low = least + 0.9 * (fixed + 0.6 * activations + logits_low)
    high = most + 1.25 * (fixed + activations + logits_high)
    return {
        "weights": int(weights),
        "gradients": int(gradients),
        "optimizer": int(moments),
        "activations": int(activations),
        "logits": int(logits_high),
        "low": int(low),
        "high": int(high),
    }
