"""How weights are stored, as the files of a model say it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import serve_parts

from llmops_kernel.serve.filetype import file_type, gguf_facts
from llmops_kernel.serve.models import ServedModel


def with_header(path: Path, *pairs: tuple[str, bytes]) -> Path:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    path.write_bytes(head + b"".join(text(key) + value for key, value in pairs))
    return path


def uint32(value: int) -> bytes:
    return struct.pack("<II", 4, value)


@pytest.mark.parametrize(("number", "name"), [(0, "f32"), (7, "q8_0"), (15, "q4_k_m"), (999, "")])
def test_a_gguf_file_says_it_in_its_header(tmp_path: Path, number: int, name: str) -> None:
    words = struct.pack("<IIQ", 9, 8, 2) + 2 * (struct.pack("<Q", 1) + b"a")
    numbers = struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3)
    path = with_header(
        tmp_path / "m.gguf", ("words", words), ("numbers", numbers),
        ("general.file_type", uint32(number)), ("llama.context_length", uint32(77)),
    )  # fmt: skip
    assert file_type(ServedModel("m", gguf=path), "llama-server") == name
    facts = gguf_facts(path, "llama.context_length", "general.file_type")
    assert facts == {"general.file_type": number, "llama.context_length": 77}


def test_a_file_that_does_not_say_it_or_is_broken(tmp_path: Path) -> None:
    tiny = serve_parts.write_tiny_gguf(tmp_path / "tiny.gguf")
    assert file_type(ServedModel("m", gguf=tiny), "llama-server") == ""
    assert gguf_facts(tiny, "llama.context_length") == {"llama.context_length": 512}
    for data in (b"", b"GGUF", b"GGUF" + bytes(64), b"GGUF" + b"\xff" * 64, b"no model at all"):
        path = tmp_path / "bad.gguf"
        path.write_bytes(data)
        assert file_type(ServedModel("m", gguf=path), "llama-server") == ""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq, 4 bits"),
        ({"quantization_config": {"quant_method": "fp8"}}, "fp8"),
        ({}, ""),
        ([], ""),
    ],
)
def test_a_folder_says_it_in_its_config(tmp_path: Path, config: object, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    gguf = with_header(tmp_path / "m.gguf", ("general.file_type", uint32(7)))
    model = ServedModel("m", folder=tmp_path, gguf=gguf)
    assert file_type(model, "transformers") == said
    assert file_type(model, "llama-server") == "q8_0"
