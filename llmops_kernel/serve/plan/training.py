"""What training needs on a GPU: weights, gradients, optimiser, activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem
from llmops_kernel.serve.plan.figure import GB, GIB, Figure
from llmops_kernel.serve.plan.weights import weight_bytes

if TYPE_CHECKING:
    from llmops_kernel.serve.plan.gpus import Gpu
    from llmops_kernel.serve.plan.shape import Shape

Method = Literal["full", "lora", "qlora"]
METHODS: tuple[Method, ...] = ("full", "lora", "qlora")

# Bytes a token keeps while one layer is worked on: gate, up, their activation, product and
# gradient, and eight times the residual's width. It meets the published slopes of Unsloth's context
# table within 2 %: 0.212 MB a token for Llama-3.1-8B, 0.414 for Llama-3.3-70B.
_WIDE, _NARROW = 5, 8
_CONTEXT = "CUDA context and allocator 0.5 to 1.0 GB; estimate, ±20 %"


@dataclass(frozen=True, slots=True)
class TrainingDemand:
    """How a model shall be trained.

    Attributes:
        method: ``full``, ``lora`` or ``qlora``.
        tokens: Tokens of a batch on the GPU: longest sequence x sequences.
        precision: ``mixed`` (bf16 with fp32 copies), ``fp32`` or ``bf16`` (everything), for full.
        rank: Rank of the LoRA, on all matrices.
        base: How the frozen base is stored for lora and qlora.
        fused_ce: Whether the loss never makes all logits at once.
        offload_ckpt: Whether checkpoints of activations go to the machine's memory.
        adam_8bit: Whether the optimiser's states are 8-bit.
        upcast_embeddings: Whether embeddings and head are fp32 beside a quantised base, as PEFT's
            preparation for k-bit training makes them.
        checkpointing: Whether activations are computed again instead of kept.
    """

    method: Method = "qlora"
    tokens: int = 2048
    precision: Literal["mixed", "fp32", "bf16"] = "mixed"
    rank: int = 16
    base: Literal["", "bf16", "int8", "nf4"] = ""
    fused_ce: bool = False
    offload_ckpt: bool = False
    adam_8bit: bool = False
    upcast_embeddings: bool = False
    checkpointing: bool = True

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageProblem("The training method is none of full, lora and qlora",
                               detail=repr(self.method))  # fmt: skip
        if self.tokens < 1 or self.rank < 1:
            raise UsageProblem("Tokens and rank must be at least 1")


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Bytes of training, by where they go.

    Attributes:
        weights: The base model.
        states: What is trained: weights, gradients and optimiser states.
        per_token: Bytes that one more token of the batch takes.
        fixed: Driver and allocator.
        demand: What was asked for.
    """

    weights: Figure
    states: Figure
    per_token: Figure
    fixed: Figure
    demand: TrainingDemand

    @property
    def total(self) -> Figure:
        """Everything, as an estimate that may be off by a fifth."""
        tokens = self.demand.tokens
        best = self.weights + self.states + self.fixed + self.per_token.times(tokens)
        return Figure(best.low * 0.9, best.best, best.high * 1.2, best.anchor)

    def most_tokens(self, gpu: Gpu) -> Figure:
        """Return the tokens of a batch that fit a GPU."""
        left = Figure.exact(gpu.bytes) - self.weights - self.states - self.fixed
        left = left.at_least(0.0)
        return Figure(
            left.low / self.per_token.high,
            left.best / self.per_token.best,
            left.high / self.per_token.low,
            self.per_token.anchor,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plan; memory in GiB (1024³), a token in MB (1000²)."""
        return {
            "method": self.demand.method,
            "tokens": self.demand.tokens,
            "weights_gib": self.weights.times(1 / GIB).as_json(),
            "states_gib": self.states.times(1 / GIB).as_json(),
            "mb_per_token": self.per_token.times(1e-6).as_json(),
            "other_gib": self.fixed.times(1 / GIB).as_json(),
            "total_gib": self.total.times(1 / GIB).as_json(),
        }


def plan_training(shape: Shape, demand: TrainingDemand) -> TrainingPlan:
    """Plan the memory of training on one GPU.

    Bytes a trained parameter: 16 to 18 in mixed precision (2 weights, 2 gradients, 12 for fp32
    copies and states; 18 with fp32 gradients), 16 in fp32, 8 in pure bf16; 6 less with 8-bit Adam
    (4 less in pure bf16, whose states have 2 bytes each).
    """
    trained, base = _parts(shape, demand)
    return TrainingPlan(
        weights=base,
        states=trained,
        per_token=_per_token(shape, demand),
        fixed=Figure(0.5 * GB, 0.75 * GB, 1.0 * GB, _CONTEXT),
        demand=demand,
    )


def _parts(shape: Shape, demand: TrainingDemand) -> tuple[Figure, Figure]:
    """Return the bytes of what is trained, and of the frozen base."""
    if demand.method == "full":
        low, high = {"mixed": (16, 18), "fp32": (16, 18), "bf16": (8, 9)}[demand.precision]
        saved = 0 if not demand.adam_8bit else 2 if demand.precision == "bf16" else 6
        n = shape.parameters
        anchor = f"{low - saved} to {high - saved} bytes a parameter"
        states = Figure(n * (low - saved), n * (low + high) / 2 - n * saved, n * (high - saved),
                        anchor)  # fmt: skip
        return states, Figure.exact(0.0)
    default = "nf4" if demand.method == "qlora" else "bf16"
    base = weight_bytes(shape, demand.base or default)
    if demand.upcast_embeddings and (demand.base or default) != "bf16":
        outside = shape.parameters - shape.linear_parameters
        base = base + Figure.exact(outside * 2.0)
    each = 10 if demand.adam_8bit else 16  # adapters are fp32
    return Figure.exact(shape.lora_parameters(demand.rank) * each), base


def _per_token(shape: Shape, demand: TrainingDemand) -> Figure:
    wide = max(shape.intermediate, shape.active_experts * shape.expert_width)
    layer = 2.0 * (_WIDE * wide + _NARROW * shape.hidden)
    kept = 0.0
    if not demand.checkpointing:
        kept = layer * (shape.layers - 1)
    elif not demand.offload_ckpt:
        kept = shape.layers * shape.hidden * 2.0
    low = best = high = layer + kept
    if not demand.fused_ce:
        # Logits in 16 bits, in fp32, and their gradient; a shifted fp32 copy in some trainers.
        low += shape.vocab * 10.0
        best += shape.vocab * 12.0
        high += shape.vocab * 14.0
    anchor = "Unsloth's context table: 0.212 MB a token fused and offloaded, 2.47 plain"
    return Figure(low * 0.95, best * 1.02, high * 1.1, anchor)
