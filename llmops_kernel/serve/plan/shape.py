"""The shape of a decoder-only model: its matrices, its parameters, its keys and values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Families with a bias on query, key and value without an entry in their config.
_QKV_BIAS = {"qwen2", "qwen2_moe"}
# Families that normalise queries and keys per head.
_HEAD_NORMS = {"qwen3", "qwen3_moe", "gemma3", "gemma3_text"}
PLAIN_MLP = {"opt", "gpt2"}  # two matrices in place of gate, up and down


@dataclass(frozen=True, slots=True)
class Linear:
    """Matrices of one kind in one layer: ``count`` of them, each ``inputs`` x ``outputs``."""

    kind: str
    layer: int
    inputs: int
    outputs: int
    count: int = 1

    @property
    def size(self) -> int:
        """Parameters of all of them."""
        return self.inputs * self.outputs * self.count


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model decides its memory.

    Attributes:
        name: What to call it.
        family: ``model_type`` of its config.
        layers: Decoder layers.
        hidden: Width of the residual stream.
        heads: Query heads.
        kv_heads: Key and value heads (fewer than ``heads`` under grouped-query attention).
        head_dim: Width of a head; not always ``hidden / heads``.
        intermediate: Width of a dense MLP.
        vocab: Rows of the embedding.
        tied: Whether embedding and head are one matrix.
        experts: Experts of each sparse layer; 0 for a dense model.
        active_experts: Experts a token goes through.
        expert_width: Width of one expert's MLP.
        shared_width: Width of the experts that every token goes through; 0 for none.
        dense_layers: Layers at the start that are dense in a sparse model.
        window: Tokens that a sliding-window layer keeps; 0 where all layers keep everything.
        windowed_layers: How many layers keep a window only.
        positions: Rows of a learned position embedding; 0 for rotary ones.
        context: Tokens the model was made for; 0 if the config does not say.
        quantisation: How the config says that its weights are stored; "" for 16 or 32 bits.
    """

    name: str
    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    experts: int = 0
    active_experts: int = 0
    expert_width: int = 0
    shared_width: int = 0
    dense_layers: int = 0
    window: int = 0
    windowed_layers: int = 0
    positions: int = 0
    context: int = 0
    quantisation: str = ""

    # ---- parameters ---------------------------------------------------------------------------

    def linears(self) -> Iterator[Linear]:
        """Yield every matrix of the layers: what quantisation makes smaller."""
        h, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        plain = self.family in PLAIN_MLP
        for layer in range(self.layers):
            yield Linear("attn_q", layer, h, q)
            yield Linear("attn_k", layer, h, kv)
            yield Linear("attn_v", layer, h, kv)
            yield Linear("attn_output", layer, q, h)
            if self.experts and layer >= self.dense_layers:
                yield from self._mlp(layer, self.expert_width, self.experts)
                if self.shared_width:
                    yield from self._mlp(layer, self.shared_width, 1)
            elif plain:
                yield Linear("ffn_up", layer, h, self.intermediate)
                yield Linear("ffn_down", layer, self.intermediate, h)
            else:
                yield from self._mlp(layer, self.intermediate, 1)

    def _mlp(self, layer: int, width: int, count: int) -> Iterator[Linear]:
        yield Linear("ffn_gate", layer, self.hidden, width, count)
        yield Linear("ffn_up", layer, self.hidden, width, count)
        yield Linear("ffn_down", layer, width, self.hidden, count)

    @property
    def linear_parameters(self) -> int:
        """Parameters of all matrices of the layers."""
        return sum(each.size for each in self.linears())

    @property
    def expert_parameters(self) -> int:
        """Parameters of the experts among them."""
        if not self.experts:
            return 0
        sparse = self.layers - self.dense_layers
        return sparse * self.experts * 3 * self.hidden * self.expert_width

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embeddings of tokens and, where learned, of positions."""
        return (self.vocab + self.positions) * self.hidden

    @property
    def head_parameters(self) -> int:
        """Parameters of a head of its own; 0 where it is the embedding."""
        return 0 if self.tied else self.vocab * self.hidden

    @property
    def small_parameters(self) -> int:
        """Parameters of norms, biases and routers, which stay unquantised."""
        h, q, kv = self.hidden, self.heads * self.head_dim, self.kv_heads * self.head_dim
        each = 4 * h if self.family == "gemma2" else 2 * h
        final = h
        if self.family in PLAIN_MLP:  # layer norms with a bias, and biases on every matrix
            each = 4 * h + q + 2 * kv + h + self.intermediate + h
            final = 2 * h
        elif self.family == "gpt_oss":
            # biases of attention and experts, sinks, the router
            each += q + 2 * kv + h + self.heads
            each += self.experts * (2 * self.expert_width + h) + self.experts * (h + 1)
        elif self.family in _QKV_BIAS:
            each += q + 2 * kv
        if self.family in _HEAD_NORMS:
            each += 2 * self.head_dim
        total = self.layers * each + final
        if self.experts and self.family != "gpt_oss":
            total += (self.layers - self.dense_layers) * self.experts * h
        return total

    @property
    def parameters(self) -> int:
        """All parameters, a tied head counted once."""
        return (
            self.linear_parameters
            + self.embedding_parameters
            + self.head_parameters
            + self.small_parameters
        )

    def lora_parameters(self, rank: int) -> int:
        """Return the parameters of a LoRA on all matrices: Σ r · (d_in + d_out)."""
        return sum(rank * (each.inputs + each.outputs) * each.count for each in self.linears())

    # ---- the cache of keys and values ---------------------------------------------------------

    def kv_bytes_per_token(self, bytes_each: float = 2.0) -> float:
        """Return 2 · layers · kv_heads · head_dim · bytes: a token's keys and values."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_each

    def kv_bytes(self, tokens: int, bytes_each: float = 2.0) -> float:
        """Return the bytes of one sequence; sliding-window layers keep their window only."""
        per_layer = 2 * self.kv_heads * self.head_dim * bytes_each
        full = self.layers - self.windowed_layers
        kept = min(tokens, self.window) if self.window else tokens
        return per_layer * (full * tokens + self.windowed_layers * kept)
