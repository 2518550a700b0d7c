"""What is asked of an engine: how long, how many, in which form, on how many GPUs."""

from __future__ import annotations

from dataclasses import dataclass

from llmops_kernel.errors import UsageProblem, nearest

# Share of the GPU that each engine takes by default.
_SHARE = {"vllm": 0.92, "sglang": 0.88, "llama-server": 1.0, "ollama": 1.0, "transformers": 1.0}
ENGINES = tuple(_SHARE)
_SAME = {"llama.cpp": "llama-server", "llamacpp": "llama-server", "hf": "transformers",
         "transformers-serve": "transformers"}  # fmt: skip
# Bytes of a key's or value's element; the quantised forms have a scale for 32 of them.
_KV_BYTES = {"auto": 2.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
KV_DTYPES = tuple(_KV_BYTES)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a server shall do.

    Attributes:
        context: Tokens of the longest sequence, prompt and answer together.
        concurrency: Such sequences at once.
        engine: One of `ENGINES`.
        dtype: How weights are stored; "" for what the model's config says, else bf16.
        kv_dtype: How keys and values are stored; one of `KV_DTYPES`.
        utilisation: Share of the GPU that the engine may take; None for its default.
        gpus: GPUs the model is spread over (tensor parallel).
        activation_gib: A measured activation peak per GPU, in place of the estimate.
        other_gib: Measured memory of driver and libraries per GPU, in place of the estimate.
        weights_gib: Measured weights on all GPUs together, in place of the formula.
        device: ``gpu``, or ``cpu`` for the memory of the machine.
    """

    context: int = 8192
    concurrency: int = 1
    engine: str = "vllm"
    dtype: str = ""
    kv_dtype: str = "auto"
    utilisation: float | None = None
    gpus: int = 1
    activation_gib: float | None = None
    other_gib: float | None = None
    weights_gib: float | None = None
    device: str = "gpu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "engine", _SAME.get(self.engine, self.engine))
        if self.engine not in _SHARE:
            raise UsageProblem(
                f"The planner does not know the engine {self.engine!r}"
                f"{nearest(self.engine, ENGINES)}",
                hint=f"Choose {', '.join(ENGINES)}",
            )
        if self.kv_dtype not in _KV_BYTES:
            raise UsageProblem(
                f"The planner does not know keys and values stored as {self.kv_dtype!r}"
                f"{nearest(self.kv_dtype, KV_DTYPES)}",
                hint=f"Choose {', '.join(KV_DTYPES)}",
            )
        for name in ("context", "concurrency", "gpus"):
            if getattr(self, name) < 1:
                raise UsageProblem(f"{name} must be at least 1", detail=f"{getattr(self, name)}")
        if self.utilisation is not None and not 0 < self.utilisation <= 1:
            raise UsageProblem(
                "The share of the GPU must be between 0 and 1", detail=f"{self.utilisation}"
            )

    @property
    def share(self) -> float:
        """Share of the GPU that the engine may take."""
        return _SHARE[self.engine] if self.utilisation is None else self.utilisation

    @property
    def kv_bytes(self) -> float:
        """Bytes of one element of a key or value."""
        return _KV_BYTES[self.kv_dtype]
