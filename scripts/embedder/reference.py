"""The reference: the same model in PyTorch, from the published weights, in float32.

Only needed to make the reference vectors anew; everything else works without PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEADS = 12
_LAYERS = 6
_EPSILON = 1e-12


@torch.inference_mode()
def embed(weights: Mapping[str, np.ndarray], texts: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the vectors of texts given as token ids, each computed alone."""
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    return np.stack([_embed_one(tensors, list(ids)).numpy() for ids in texts])


def _embed_one(weights: Mapping[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    def linear(value: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(value, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(value: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return functional.layer_norm(value, weight.shape, weight, bias, _EPSILON)

    def heads(value: torch.Tensor) -> torch.Tensor:
        return value.view(len(ids), _HEADS, -1).transpose(0, 1)

    hidden = weights["embeddings.word_embeddings.weight"][ids]
    hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(ids)]
    hidden = hidden + weights["embeddings.token_type_embeddings.weight"][0]
    hidden = norm(hidden, "embeddings.LayerNorm")
    for number in range(_LAYERS):
        at = f"encoder.layer.{number}"
        query, key, value = (
            heads(linear(hidden, f"{at}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(0, 1).reshape(len(ids), -1)
        mixed = linear(mixed, f"{at}.attention.output.dense")
        hidden = norm(mixed + hidden, f"{at}.attention.output.LayerNorm")
        wide = functional.gelu(linear(hidden, f"{at}.intermediate.dense"))
        hidden = norm(linear(wide, f"{at}.output.dense") + hidden, f"{at}.output.LayerNorm")
    return functional.normalize(hidden.mean(dim=0), dim=0)
