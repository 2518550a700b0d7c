"""What an engine refuses, or does worse than asked, however much memory there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.serve.plan.demand import Demand
    from llmops_kernel.serve.plan.gpus import Gpu
    from llmops_kernel.serve.plan.shape import Shape

# Ways of storing weights that an engine has no reader for (vLLM 0.33 lists its own; llama.cpp and
# what is built on it read GGUF only, in which 16 and 32 bits and MXFP4 have forms of their own).
_ONLY_ELSEWHERE = {"awq", "gptq", "nf4", "int8", "fp8"}
_KEPT_AS = {
    "vllm": ("auto", "bf16", "fp16", "fp8"),
    "sglang": ("auto", "bf16", "fp16", "fp8"),
    "llama-server": ("auto", "bf16", "fp16", "q8_0", "q4_0"),
    "ollama": ("auto", "fp16", "q8_0", "q4_0"),
    "transformers": ("auto", "bf16", "fp16"),
}
_TENSOR_PARALLEL = ("vllm", "sglang")
# Compute capability from which a GPU has the instructions.
_BF16, _AWQ, _FP8 = 8.0, 7.5, 8.9


def refusals(shape: Shape, gpu: Gpu, demand: Demand, dtype: str) -> tuple[str, ...]:
    """Return why the engine would not start, each as a sentence without its full stop.

    Args:
        shape: The model.
        gpu: The GPU.
        demand: What is asked; an empty ``dtype`` leaves the choice to the engine.
        dtype: How weights are stored, as `dtype_named` returns it.
    """
    engine, found = demand.engine, []
    if engine == "vllm" and (dtype.startswith("gguf:") or dtype == "nf4"):
        found.append(
            f"vLLM does not read weights stored as {dtype}: give it safetensors, AWQ or GPTQ"
        )
    if engine in ("llama-server", "ollama") and dtype in _ONLY_ELSEWHERE:
        found.append(
            f"{engine} reads GGUF only, not {dtype}: give it q8_0, q4_k_m or another GGUF form"
        )
    if demand.kv_dtype not in _KEPT_AS[engine]:
        found.append(
            f"{engine} does not keep keys and values as {demand.kv_dtype}: it takes "
            f"{', '.join(_KEPT_AS[engine])}"
        )
    if engine in _TENSOR_PARALLEL:
        if shape.context and demand.context > shape.context:
            found.append(_too_long(shape, demand))
        found += _undivided(shape, demand.gpus)
        if gpu.capability and gpu.capability < _BF16 and demand.dtype and dtype == "bf16":
            found.append(f"{gpu.name} cannot reckon in bf16: take --dtype fp16, as large")
        if gpu.capability and gpu.capability < _AWQ and dtype == "awq":
            found.append(f"{gpu.name} is too old for AWQ's kernels: take --dtype gptq")
    return tuple(found)


def warnings(shape: Shape, gpu: Gpu, demand: Demand, dtype: str) -> tuple[str, ...]:
    """Return what goes, but not as one might think; as `refusals` does."""
    engine, found = demand.engine, []
    old = 0 < gpu.capability < _BF16 and demand.device == "gpu"
    if engine not in _TENSOR_PARALLEL and shape.context and demand.context > shape.context:
        found.append(_too_long(shape, demand) + "; what comes after is worth nothing")
    if old and engine in _TENSOR_PARALLEL and not demand.dtype and dtype == "bf16":
        found.append(f"{gpu.name} cannot reckon in bf16: the engine takes fp16, as large")
    if old and engine == "transformers" and dtype == "bf16":
        found.append(f"{gpu.name} is slow in bf16: fp16 is as large and faster")
    if 0 < gpu.capability < _FP8 and dtype == "fp8":
        found.append(
            f"{gpu.name} cannot reckon in fp8: the weights are unpacked as they are used, if the "
            "engine can do that at all"
        )
    if engine == "transformers" and dtype.startswith("gguf:"):
        found.append(
            "transformers unpacks GGUF weights as it loads them: they need as much as at 16 or 32 "
            "bits, more than is counted here"
        )
    if engine not in _TENSOR_PARALLEL and demand.gpus > shape.layers:
        found.append(f"Layers are spread, and there are only {shape.layers} of them")
    return tuple(found)


def _too_long(shape: Shape, demand: Demand) -> str:
    return f"The model reads {shape.context:,} tokens, and {demand.context:,} are asked"


def _undivided(shape: Shape, gpus: int) -> list[str]:
    """Tensor parallel gives each GPU as many heads; few KV heads are copied to several GPUs."""
    found = []
    if shape.heads % gpus:
        fit = [n for n in range(1, min(shape.heads, 16) + 1) if shape.heads % n == 0]
        found.append(
            f"{gpus} GPUs cannot share {shape.heads} heads evenly: take "
            f"{', '.join(map(str, fit[:-1]))} or {fit[-1]}"
            if len(fit) > 1
            else f"{gpus} GPUs cannot share {shape.heads} heads evenly"
        )
    elif shape.kv_heads % gpus and gpus % shape.kv_heads:
        found.append(f"{gpus} GPUs cannot share {shape.kv_heads} heads of keys and values evenly")
    return found
