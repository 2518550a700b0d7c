"""What an engine needs on a GPU: weights, activations, and what is left for keys and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING, Any

from llmops_kernel.serve.plan.figure import GIB, Figure
from llmops_kernel.serve.plan.refusals import refusals, warnings
from llmops_kernel.serve.plan.weights import bits_per_weight, dtype_named, weight_bytes

if TYPE_CHECKING:
    from llmops_kernel.serve.plan.demand import Demand
    from llmops_kernel.serve.plan.gpus import Gpu
    from llmops_kernel.serve.plan.shape import Shape

# What the processes have resident beside the model.
_MIB = 2**20
_PROCESS = {
    "llama-server": Figure(15 * _MIB, 30 * _MIB, 90 * _MIB,
                           "llama-server on a CPU with a tiny model: 27 to 41 MiB resident"),
    "transformers": Figure(300 * _MIB, 430 * _MIB, 800 * _MIB,
                           "transformers on a CPU with a tiny model: 420 to 460 MiB resident"),
}  # fmt: skip
# vLLM keeps room to sample for as many sequences as it may run at once. 9.7 buffers of sequences x
# vocabulary x 4 bytes reproduce what was published for an H100 with 1,024 sequences: 4.76 GiB
# (Llama-3.1-8B), 4.84 (Llama-3.3-70B), 5.6 (Qwen3-32B) and 7.38 (gpt-oss-20b).
_SAMPLER = 9.7
_SEQUENCES_LARGE, _SEQUENCES_SMALL = 1024, 256
_LARGE_CARD = 70 * GIB
_PEAKS = "activation peaks of vLLM on an H100 (llm-d benchmark: 4.76 to 7.38 GiB)"
_REST = "vLLM's memory outside torch (llm-d benchmark: 0.13 to 0.55 GiB)"


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """Whether a model fits a GPU, and what of the memory goes where; all bytes are per GPU.

    Attributes:
        shape: The model.
        gpu: The GPU.
        demand: What was asked for.
        dtype: How the weights are stored.
        weights: Bytes of weights.
        activations: Bytes of the activation peak.
        other: Bytes of driver, libraries and fragmentation.
        kv_pool: Bytes left for keys and values.
        kv_per_token: Bytes of one token's keys and values.
        kv_sequence: Bytes of one sequence of the full context.
        reason: Why it fits or not.
        refusals: Why the engine would not start, whatever the memory.
        warnings: What goes, but not as one might think.
    """

    shape: Shape
    gpu: Gpu
    demand: Demand
    dtype: str
    weights: Figure
    activations: Figure
    other: Figure
    kv_pool: Figure
    kv_per_token: float
    kv_sequence: float
    reason: str = field(default="")
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def kv_needed(self) -> float:
        """Bytes of keys and values for all sequences at once."""
        return self.kv_sequence * self.demand.concurrency

    @property
    def resident(self) -> Figure:
        """Bytes that the engine holds: llama.cpp sets keys and values aside at the start."""
        ahead = self.demand.engine in ("llama-server", "ollama")
        kv = Figure.exact(self.kv_needed if ahead else 0.0)
        if not ahead:
            kv = Figure(0.0, 0.0, self.kv_needed, "keys and values as they come")
        floor = Figure(0.0, self.activations.best, self.activations.high, self.activations.anchor)
        return self.weights + kv + floor + self.other

    @property
    def fits(self) -> bool:
        """Whether it fits, by the best estimate, and the engine takes what is asked."""
        return not self.refusals and self.has_room

    @property
    def has_room(self) -> bool:
        """Whether the memory is enough, by the best estimate."""
        return self.kv_pool.best >= self.kv_needed

    @property
    def certain(self) -> bool:
        """Whether both ends of the estimate say the same."""
        return bool(self.refusals) or (self.kv_pool.low >= self.kv_needed) == (
            self.kv_pool.high >= self.kv_needed
        )

    @property
    def starts(self) -> bool:
        """Whether one sequence of the full context fits: engines refuse to start otherwise."""
        return self.kv_pool.best >= self.kv_sequence

    @property
    def kv_tokens(self) -> Figure:
        """Tokens whose keys and values the pool holds."""
        return self.kv_pool.at_least(0.0).times(1 / self.kv_per_token)

    @property
    def max_concurrency(self) -> Figure:
        """Sequences of the full context that fit at once."""
        pool = self.kv_pool.at_least(0.0)
        return Figure(
            floor(pool.low / self.kv_sequence),
            floor(pool.best / self.kv_sequence),
            floor(pool.high / self.kv_sequence),
            self.kv_pool.anchor,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plan; bytes are in GiB (1024³), and each range names its anchor."""
        demand = self.demand
        return {
            "model": self.shape.name,
            "parameters": self.shape.parameters,
            "engine": demand.engine,
            "gpu": self.gpu.name,
            "gpus": demand.gpus,
            "gpu_gib": round(self.gpu.gib, 3),
            "utilisation": demand.share,
            "dtype": self.dtype,
            "bits_per_weight": round(bits_per_weight(self.shape, self.dtype), 4),
            "kv_dtype": demand.kv_dtype,
            "context": demand.context,
            "concurrency": demand.concurrency,
            "weights_gib": self.weights.times(1 / GIB).as_json(),
            "activations_gib": self.activations.times(1 / GIB).as_json(),
            "other_gib": self.other.times(1 / GIB).as_json(),
            "kv_pool_gib": self.kv_pool.times(1 / GIB).as_json(),
            "kv_bytes_per_token": round(self.kv_per_token),
            "kv_gib_per_sequence": round(self.kv_sequence / GIB, 4),
            "kv_needed_gib": round(self.kv_needed / GIB, 3),
            "kv_tokens": self.kv_tokens.as_json(0),
            "max_concurrency": self.max_concurrency.as_json(0),
            "fits": self.fits,
            "certain": self.certain,
            "reason": self.reason,
            "warnings": list(self.warnings),
        }


def plan_serving(shape: Shape, gpu: Gpu, demand: Demand) -> ServingPlan:
    """Plan the memory of a server.

    KV pool = share x memory - weights - activation peak - other.

    Args:
        shape: The model.
        gpu: The GPU, one of ``demand.gpus``.
        demand: What it shall do.

    Raises:
        UsageProblem: The demand cannot be.
    """
    dtype = dtype_named(demand.dtype or _default_dtype(shape, demand.engine))
    spread = demand.gpus
    if demand.weights_gib is not None:
        weights = Figure.exact(demand.weights_gib * GIB / spread, "measured")
    else:
        weights = weight_bytes(shape, dtype).times(1 / spread)
    activations = _activations(shape, gpu, demand)
    other = _other(demand, weights + activations)
    budget = Figure.exact(demand.share * gpu.bytes)
    pool = budget - weights - activations - other
    kv_spread = min(spread, shape.kv_heads)
    each = demand.kv_bytes
    plan = ServingPlan(
        shape=shape,
        gpu=gpu,
        demand=demand,
        dtype=dtype,
        weights=weights,
        activations=activations,
        other=other,
        kv_pool=pool,
        kv_per_token=shape.kv_bytes_per_token(each) / kv_spread,
        kv_sequence=shape.kv_bytes(demand.context, each) / kv_spread,
        refusals=refusals(shape, gpu, demand, dtype),
        warnings=warnings(shape, gpu, demand, dtype),
    )
    object.__setattr__(plan, "reason", _reason(plan))
    return plan


def _default_dtype(shape: Shape, engine: str) -> str:
    if shape.quantisation:
        return shape.quantisation
    return "gguf:q4_k_m" if engine == "ollama" else "bf16"


def _activations(shape: Shape, gpu: Gpu, demand: Demand) -> Figure:
    if demand.activation_gib is not None:
        return Figure.exact(demand.activation_gib * GIB, "measured")
    logits = shape.vocab * 4.0
    if demand.engine in ("vllm", "sglang"):
        at_once = _SEQUENCES_LARGE if gpu.bytes > _LARGE_CARD else _SEQUENCES_SMALL
        best = _SAMPLER * at_once * logits
        return Figure.around(best, 0.94, 1.06, _PEAKS)
    # One micro-batch of 512 tokens for llama.cpp; a whole prompt for transformers, which keeps
    # logits of its last token only.
    wide = max(shape.intermediate, shape.active_experts * shape.expert_width)
    width = shape.hidden * 8 + wide * 5
    if demand.engine == "transformers":
        best = demand.context * width * 2.0 + demand.concurrency * logits
        return Figure.around(best, 0.6, 1.6, "one layer's working set x context")
    best = 512 * (width * 4.0 + logits)
    return Figure.around(best, 0.6, 1.6, "llama.cpp's micro-batch of 512 tokens")


def _other(demand: Demand, used: Figure) -> Figure:
    if demand.other_gib is not None:
        return Figure.exact(demand.other_gib * GIB, "measured")
    if demand.engine in ("vllm", "sglang"):
        return Figure(0.13 * GIB, 0.13 * GIB, 0.55 * GIB, _REST)
    if demand.device == "cpu":
        return _PROCESS["transformers" if demand.engine == "transformers" else "llama-server"]
    context = Figure(0.3 * GIB, 0.5 * GIB, 1.0 * GIB, "CUDA context and allocator 0.3 to 1.0 GiB")
    if demand.engine == "transformers":
        loose = Figure(
            used.low * 0.02, used.best * 0.05, used.high * 0.1, "fragmentation 2 to 10 %"
        )
        return context + loose
    return context


def _reason(plan: ServingPlan) -> str:
    demand = plan.demand
    pool, one = plan.kv_pool.times(1 / GIB), plan.kv_sequence / GIB
    if plan.refusals:
        return f"{demand.engine} refuses it: {'; '.join(plan.refusals)}"
    if plan.kv_pool.best <= 0:
        return (
            f"Weights and activations alone need more than the GPU gives: {-pool.best:.2f} GiB "
            "are missing before the first token"
        )
    if not plan.starts:
        return (
            f"One sequence of {demand.context:,} tokens needs {one:.2f} GiB of keys and values, "
            f"and {pool.text('GiB')} are left"
        )
    most = int(plan.max_concurrency.best)
    if not plan.has_room:
        return (
            f"{_sequences(demand.concurrency)} of {demand.context:,} tokens need "
            f"{plan.kv_needed / GIB:.2f} GiB of keys and values, and {pool.text('GiB')} are left: "
            f"room for {most:,}"
        )
    tight = "" if plan.certain else "; it is tight, and the lower end of the estimate says no"
    return f"Room for {_sequences(most)} of {demand.context:,} tokens at once{tight}"


def _sequences(number: int) -> str:
    return f"{number:,} sequence{'' if number == 1 else 's'}"
