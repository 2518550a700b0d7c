"""The shape of a decoder-only model, read from its ``config.json``, and its parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Families whose embedding is the head too, unless their config says otherwise.
_TIED = {"gemma", "gemma2", "gemma3", "gemma3_text", "opt", "gpt2"}
# Families with a bias on query, key and value without an entry in their config.
_QKV_BIAS = {"qwen2", "qwen2_moe"}
# Families that normalise queries and keys per head.
_HEAD_NORMS = {"qwen3", "qwen3_moe", "gemma3", "gemma3_text"}
_PLAIN_MLP = {"opt", "gpt2"}  # two matrices in place of gate, up and down


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
        plain = self.family in _PLAIN_MLP
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
        if self.family in _PLAIN_MLP:  # layer norms with a bias, and biases on every matrix
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
    positions = maybe("max_position_embeddings", "n_positions") if family in _PLAIN_MLP else 0
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
        context=maybe("max_position_embeddings", "n_positions"),
        quantisation=_stored_as(config.get("quantization_config")),
    )


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
