"""What ``config.json`` says of a Llama model, checked and written as GGUF's own keys."""

from __future__ import annotations

from typing import Any

from llmops_kernel.errors import UsageProblem

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM")
OTHERWISE = "Give the path of llama.cpp's convert_hf_to_gguf.py, which knows other architectures"


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
            hint=OTHERWISE,
        )
    for reason, wrong in {
        "another activation than SiLU": config.get("hidden_act", "silu") != "silu",
        "a sliding window": bool(config.get("sliding_window")),
        "an unknown rope scaling": rope(config)[0] not in ("default", "linear", "llama3"),
        "quantised weights": bool(config.get("quantization_config")),
    }.items():
        if wrong:
            raise UsageProblem(
                "This model cannot be written as GGUF without the official converter",
                detail=f"it has {reason}",
                hint=OTHERWISE,
            )


def write_config(writer: Any, config: dict[str, Any], name: str, type_: str) -> None:
    """Write a model's shape.

    Args:
        writer: A ``gguf.GGUFWriter``.
        config: A config that `check_config` has passed.
        name: The model's name in the file.
        type_: One of `OWN_TYPES`.
    """
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
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    kind, said = rope(config)
    writer.add_rope_dimension_count(head_dim(config))
    writer.add_rope_freq_base(float(said["rope_theta"]))
    if kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(said["factor"]))


def _file_type(type_: str) -> int:
    import gguf

    name = "ALL_F32" if type_ == "f32" else f"MOSTLY_{type_.upper()}"
    return int(gguf.LlamaFileType[name])


def rope(config: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return kind and parameters of rotary embeddings, in the old form of the file or the new."""
    given = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    given.setdefault("rope_theta", config.get("rope_theta", 10_000.0))
    return str(given.get("rope_type") or given.get("type") or "default"), given


def head_dim(config: dict[str, Any]) -> int:
    """Return the width of a head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
