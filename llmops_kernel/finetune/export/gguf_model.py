"""Our own GGUF writer, for models of Llama's architecture.

Needed because the official converter refuses tokenizers that it does not know by their hash, which
every tokenizer trained at home is. Tensors are read one at a time, so a model larger than half the
memory can still be written.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.export.gguf_vocab import Vocabulary, read_vocabulary
from llmops_kernel.finetune.export.template import for_serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM")
_OTHERWISE = "Give the path of llama.cpp's convert_hf_to_gguf.py, which knows other architectures"

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


def check_config(config: dict[str, Any]) -> None:
    """Say whether the writer knows a model's architecture, from its ``config.json``.

    Raises:
        UsageProblem: It does not.
    """
    named = (config.get("architectures") or ["nothing"])[0]
    if named not in ARCHITECTURES:
        raise UsageProblem(
            "This architecture cannot be written as GGUF without the official converter",
            detail=f"config.json says {named}; known are {', '.join(ARCHITECTURES)}",
            hint=_OTHERWISE,
        )
    for reason, wrong in {
        "another activation than SiLU": config.get("hidden_act", "silu") != "silu",
        "a sliding window": bool(config.get("sliding_window")),
        "an unknown rope scaling": _rope(config)[0] not in ("default", "linear", "llama3"),
        "quantised weights": bool(config.get("quantization_config")),
    }.items():
        if wrong:
            raise UsageProblem(
                "This model cannot be written as GGUF without the official converter",
                detail=f"it has {reason}",
                hint=_OTHERWISE,
            )


def write_gguf(folder: Path, out: Path, type_: str, *, name: str = "") -> dict[str, Any]:
    """Write a model folder as one GGUF file.

    Args:
        folder: Merged weights (safetensors), ``config.json`` and the tokenizer.
        out: The file; it appears only when it is whole.
        type_: One of `OWN_TYPES`. Matrices whose rows do not fill blocks stay F16.
        name: The model's name in the file.

    Returns:
        ``tensors`` and ``kept`` (how many matrices could not be quantised), ``bpw`` (bits per
        weight, over all tensors), ``parameters``.

    Raises:
        UsageProblem: Architecture or tokenizer are not known to the writer.
    """
    import gguf

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    check_config(config)
    vocabulary = read_vocabulary(folder, config["vocab_size"])
    unfinished = out.with_name(f".{out.name}.part")
    writer = gguf.GGUFWriter(unfinished, "llama", use_temp_file=True)
    try:
        _write_config(writer, config, name or folder.name, type_)
        _write_vocabulary(writer, vocabulary, folder)
        facts = _write_tensors(writer, folder, config, type_)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    except BaseException:
        writer.close()
        unfinished.unlink(missing_ok=True)
        raise
    writer.close()
    unfinished.replace(out)
    return facts


def _rope(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return kind and parameters of rotary embeddings, in the old form of the file or the new."""
    given = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    given.setdefault("rope_theta", config.get("rope_theta", 10_000.0))
    return str(given.get("rope_type") or given.get("type") or "default"), given


def _head_dim(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _write_config(writer: Any, config: dict[str, Any], name: str, type_: str) -> None:
    import gguf

    heads = config["num_attention_heads"]
    writer.add_name(name)
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_file_type(_file_type(type_))
    if type_ not in ("f32", "f16", "bf16"):
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(_head_dim(config))
    writer.add_value_length(_head_dim(config))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    kind, rope = _rope(config)
    writer.add_rope_dimension_count(_head_dim(config))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))


def _file_type(type_: str) -> int:
    import gguf

    name = "ALL_F32" if type_ == "f32" else f"MOSTLY_{type_.upper()}"
    return int(gguf.LlamaFileType[name])


def _write_vocabulary(writer: Any, vocabulary: Vocabulary, folder: Path) -> None:
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
        writer.add_add_space_prefix(vocabulary.space_prefix)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    special = dict(vocabulary.special)
    for name in ("bos", "eos", "pad", "unk"):
        if (id_ := getattr(tokenizer, f"{name}_token_id")) is not None:
            special[name] = int(id_)
            getattr(writer, f"add_{name}_token_id")(int(id_))
    # An engine adds these by itself where the tokenizer does; a template that has them too
    # would double them, so what is written is what the tokenizer was seen to do.
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(bool(ids) and "bos" in special and ids[0] == special["bos"])
    writer.add_add_eos_token(bool(ids) and "eos" in special and ids[-1] == special["eos"])
    ends = _ends(folder) - {special.get("eos")}
    if ends:
        writer.add_eot_token_id(min(ends))  # the format has room for one more end
    if tokenizer.chat_template:
        template = tokenizer.chat_template
        if isinstance(template, dict):
            template = template["default"]
        writer.add_chat_template(for_serving(template))


def _ends(folder: Path) -> set[int]:
    """Return the tokens at which generation ends."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            ends = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            if ends is not None:
                return {ends} if isinstance(ends, int) else set(ends)
    return set()


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


def _write_tensors(writer: Any, folder: Path, config: dict[str, Any], type_: str) -> dict[str, Any]:
    import numpy as np
    import torch

    count = {"tensors": 0, "kept": 0, "parameters": 0}
    size = 0
    tied = bool(config.get("tie_word_embeddings"))
    for name, tensor in tensors(folder):
        if (tied and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
            continue
        values = tensor.to(torch.float32)
        values = _permuted(name, values, config)
        size += _add(writer, _renamed(name), np.ascontiguousarray(values.numpy()), type_, count)
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


def _renamed(name: str) -> str:
    if name in _GLOBAL:
        return _GLOBAL[name]
    found = _IN_LAYER.fullmatch(name)
    if found is not None and found[2] in _LAYER:
        return f"blk.{found[1]}.{_LAYER[found[2]]}.{found[3]}"
    raise UsageProblem(
        "The model has a weight that Llama's architecture does not have",
        detail=name,
        hint="Merge adapters first; " + _OTHERWISE,
    )


def _permuted(name: str, values: Any, config: dict[str, Any]) -> Any:
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
    if _rope(config)[0] != "llama3":
        return None
    import numpy as np
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    scaled = LlamaRotaryEmbedding(LlamaConfig.from_dict(config)).inv_freq.double().numpy()
    plain = _rope(config)[1]["rope_theta"] ** -(
        np.arange(0, _head_dim(config), 2, dtype=np.float64) / _head_dim(config)
    )
    return (plain / scaled).astype(np.float32)
