"""A checkpoint's tensors as GGUF has them: other names, another order of rows, other types.

Tensors are read one at a time, so a model larger than half the memory can still be written.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.gguf_config import OTHERWISE, head_dim, rope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Names in a checkpoint and in GGUF; {0} is the layer.
_GLOBAL = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")


def tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the names and values (torch, on the CPU) of a folder's safetensors, one at a time.

    Raises:
        UsageProblem: There are none.
    """
    from safetensors import safe_open

    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise UsageProblem(
            "There are no safetensors weights in the folder",
            hint="Save the model with save_pretrained; pickled weights are never read",
        )
    with ExitStack() as stack:
        for path in files:
            opened = stack.enter_context(safe_open(str(path), framework="pt"))
            for name in opened.keys():  # noqa: SIM118 - no mapping, it only has keys()
                yield name, opened.get_tensor(name)


def write_tensors(writer: Any, folder: Path, config: dict[str, Any], type_: str) -> dict[str, Any]:
    """Write all tensors of a folder.

    Args:
        writer: A ``gguf.GGUFWriter``.
        folder: Holds the safetensors.
        config: A config that `check_config` has passed.
        type_: One of `OWN_TYPES`.

    Returns:
        What `gguf_model.write_gguf` tells of them.

    Raises:
        UsageProblem: There are none, or one that Llama's architecture does not have.
    """
    import numpy as np
    import torch

    count = {"tensors": 0, "kept": 0, "parameters": 0}
    size = 0
    tied = bool(config.get("tie_word_embeddings"))
    for name, tensor in tensors(folder):
        if (tied and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
            continue
        values = tensor.to(torch.float32)
        values = permuted(name, values, config)
        size += _add(writer, renamed(name), np.ascontiguousarray(values.numpy()), type_, count)
    if (factors := _rope_factors(config)) is not None:
        writer.add_tensor("rope_freqs.weight", factors)
        count["tensors"] += 1
    return {**count, "bpw": round(8 * size / max(count["parameters"], 1), 4)}


def _add(writer: Any, name: str, values: Any, type_: str, count: dict[str, int]) -> int:
    """Add a tensor in the type that suits it; returns its bytes."""
    import gguf
    import numpy as np

    kind = gguf.GGMLQuantizationType[type_.upper()]
    if values.ndim == 1:
        kind = gguf.GGMLQuantizationType.F32  # norms and biases: engines compute with them as is
    elif values.shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
        kind = gguf.GGMLQuantizationType.F16
        count["kept"] += 1
    count["tensors"] += 1
    count["parameters"] += int(values.size)
    if kind == gguf.GGMLQuantizationType.F32:
        writer.add_tensor(name, values)
        return int(values.nbytes)
    data = gguf.quants.quantize(values, kind)
    if kind == gguf.GGMLQuantizationType.F16:
        data = data.astype(np.float16)
        writer.add_tensor(name, data)
    else:
        writer.add_tensor(name, data, raw_dtype=kind)
    return int(data.nbytes)


def renamed(name: str) -> str:
    """Return what GGUF calls a tensor (raises `UsageProblem` for one that Llama does not have)."""
    if name in _GLOBAL:
        return _GLOBAL[name]
    found = _IN_LAYER.fullmatch(name)
    if found is not None and found[2] in _LAYER:
        return f"blk.{found[1]}.{_LAYER[found[2]]}.{found[3]}"
    raise UsageProblem(
        "The model has a weight that Llama's architecture does not have",
        detail=name,
        hint="Merge adapters first; " + OTHERWISE,
    )


def permuted(name: str, values: Any, config: dict[str, Any]) -> Any:
    """Reorder rows of the query and key projections.

    Checkpoints pair each rotated dimension with the one half a head away, engines with its
    neighbour; the product of query and key is the same.
    """
    if ".q_proj." in name:
        heads = config["num_attention_heads"]
    elif ".k_proj." in name:
        heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    else:
        return values
    rows = values.shape[0]
    halves = values.reshape(heads, 2, rows // heads // 2, *values.shape[1:])
    return halves.transpose(1, 2).reshape(values.shape)


def _rope_factors(config: dict[str, Any]) -> Any:
    """Return what Llama 3's scaling divides each frequency by, or None without it."""
    if rope(config)[0] != "llama3":
        return None
    import numpy as np
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    scaled = LlamaRotaryEmbedding(LlamaConfig.from_dict(config)).inv_freq.double().numpy()
    plain = rope(config)[1]["rope_theta"] ** -(
        np.arange(0, head_dim(config), 2, dtype=np.float64) / head_dim(config)
    )
    return (plain / scaled).astype(np.float32)
