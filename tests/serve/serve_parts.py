"""What several tests of serving share: real engines, and a tiny GGUF file made by hand."""

from __future__ import annotations

import os
import random
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

# Read when the tests are collected: each test runs without variables of the project.
_SERVER = os.environ.get("LLMOPS_LLAMA_SERVER") or shutil.which("llama-server") or ""
_ENVS = os.environ.get("LLMOPS_ENVS", "")
_REQUIRED = {name: os.environ.get(f"LLMOPS_REQUIRE_{name}") == "1" for name in ("LLAMA", "TRL")}

_WIDTH, _HEADS, _LAYERS, _MLP, _CONTEXT = 64, 4, 2, 128, 512
_SPECIAL = ["<|end|>", "<|turn|>"]
_TEMPLATE = (
    "{% for m in messages %}<|turn|>{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)


def real_llama_server() -> str:
    """Return the program, or skip; fail where it is required."""
    if not _SERVER and _built().is_file():
        return str(_built())
    if Path(_SERVER).is_file():
        return _SERVER
    _without("LLAMA", "there is no llama-server (LLMOPS_LLAMA_SERVER, the path)")
    raise AssertionError


def real_trl_envs() -> str:
    """Return the folder of side environments, or skip; fail where it is required."""
    place = Path(_ENVS) if _ENVS else _default_envs()
    if (place / "trl" / "llmops-made").is_file():
        return str(place)
    _without("TRL", "the environment trl was not made (LLMOPS_ENVS)")
    raise AssertionError


def _without(name: str, reason: str) -> None:
    if _REQUIRED[name]:
        pytest.fail(f"LLMOPS_REQUIRE_{name}=1, and {reason}")
    pytest.skip(reason)


def _default_envs() -> Path:
    from platformdirs import user_data_path

    return user_data_path("llmops") / "envs"


def _built() -> Path:
    return (Path(_ENVS) if _ENVS else _default_envs()) / "llama-server" / "bin" / "llama-server"


def write_tiny_gguf(path: Path, seed: int = 1) -> Path:
    """Write a Llama of 0.2 M random parameters that speaks in printable characters."""
    draw = random.Random(seed)
    tokens = [*_byte_letters(), *_SPECIAL]
    vocab = len(tokens)
    kv = _WIDTH // 2
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocab, _WIDTH)}
    for layer in range(_LAYERS):
        head = f"blk.{layer}."
        shapes |= {
            f"{head}attn_norm.weight": (_WIDTH,),
            f"{head}attn_q.weight": (_WIDTH, _WIDTH),
            f"{head}attn_k.weight": (kv, _WIDTH),
            f"{head}attn_v.weight": (kv, _WIDTH),
            f"{head}attn_output.weight": (_WIDTH, _WIDTH),
            f"{head}ffn_norm.weight": (_WIDTH,),
            f"{head}ffn_gate.weight": (_MLP, _WIDTH),
            f"{head}ffn_up.weight": (_MLP, _WIDTH),
            f"{head}ffn_down.weight": (_WIDTH, _MLP),
        }
    shapes |= {"output_norm.weight": (_WIDTH,), "output.weight": (vocab, _WIDTH)}
    facts: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": _LAYERS,
        "llama.feed_forward_length": _MLP,
        "llama.attention.head_count": _HEADS,
        "llama.attention.head_count_kv": _HEADS // 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _WIDTH // _HEADS,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * 256 + [3] * len(_SPECIAL),
        "tokenizer.ggml.merges": ["t h"],
        "tokenizer.ggml.eos_token_id": 256,
        "tokenizer.chat_template": _TEMPLATE,
    }
    data, infos = b"", b""
    for name, shape in shapes.items():
        infos += _text(name) + struct.pack("<I", len(shape))
        infos += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        infos += struct.pack("<IQ", 0, len(data))  # F32
        data += _weights(draw, name, shape)
        data += bytes(-len(data) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(facts))
    head += b"".join(_text(key) + _value(value) for key, value in facts.items()) + infos
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def _weights(draw: random.Random, name: str, shape: tuple[int, ...]) -> bytes:
    if len(shape) == 1:
        return struct.pack(f"<{shape[0]}f", *[1.0] * shape[0])
    rows = []
    for row in range(shape[0]):
        # Letters only are ever the likeliest token: the others' logits are zero.
        mute = name == "output.weight" and not (97 <= row <= 122)
        size = 0.0 if mute else 1.0 if name.startswith("token_embd") else 0.15
        rows.append(
            struct.pack(f"<{shape[1]}f", *(draw.gauss(0, 1) * size for _ in range(shape[1])))
        )
    return b"".join(rows)


def _byte_letters() -> list[str]:
    """Return the letters that byte-level BPE writes for the bytes 0 to 255."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in plain else chr(256 + _rank(b, plain)) for b in range(256)]


def _rank(byte: int, plain: list[int]) -> int:
    return sum(each not in plain for each in range(byte))


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value[0], str):
        items = b"".join(_text(each) for each in value)
        return struct.pack("<IIQ", 9, 8, len(value)) + items
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
