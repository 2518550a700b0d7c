"""What is served: its context from the file's head, and whether it is what was registered."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import serve_parts

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.registry import Registry
from llmops_kernel.serve.gguf_header import context_length
from llmops_kernel.serve.models import ServedModel, find_model
from llmops_kernel.serve.record import names
from llmops_kernel.serve.servers.starting import start_server
from llmops_kernel.serve.servers.wanted import Wanted

Liar = Callable[..., Path]
QUICK = Wanted(wait_s=20.0)
RECORD = {"config": {"lr": 1}, "data": {"sha256": "0" * 64}, "base": "tiny-base"}


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return serve_parts.write_tiny_gguf(tmp_path / "tiny.gguf")


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def head(*facts: bytes, version: int = 3, count: int | None = None) -> bytes:
    number = len(facts) if count is None else count
    return b"GGUF" + struct.pack("<IQQ", version, 0, number) + b"".join(facts)


ARCHITECTURE = text("general.architecture") + struct.pack("<I", 8) + text("qwen3")
WORDS = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
SCORES = text("tokenizer.ggml.scores") + struct.pack("<IIQ2f", 9, 6, 2, 0.5, 1.5)
LENGTH = text("qwen3.context_length") + struct.pack("<II", 4, 40_960)
WIDE = text("qwen3.context_length") + struct.pack("<IQ", 10, 131_072)
OTHER = text("clip.context_length") + struct.pack("<II", 4, 77)


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ([ARCHITECTURE, LENGTH], 40_960),
        ([LENGTH, SCORES, WORDS, ARCHITECTURE], 40_960),
        ([ARCHITECTURE, OTHER, WIDE], 131_072),
        ([ARCHITECTURE, WORDS], 0),
        ([LENGTH], 0),
    ],
)
def test_the_context_of_a_head(tmp_path: Path, facts: list[bytes], found: int) -> None:
    for version in (2, 3):
        path = tmp_path / f"{version}.gguf"
        path.write_bytes(head(*facts, version=version))
        assert context_length(path) == found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"GGUFmodel",
        b"PK\x03\x04" + bytes(40),
        head(ARCHITECTURE, LENGTH, version=9),
        head(count=2**60),
        head(ARCHITECTURE[:-2]),
        head(text("x") + struct.pack("<I", 99)),
        head(text("x") + struct.pack("<IIQ", 9, 8, 2**62)),
        head(text("x") + struct.pack("<IQ", 8, 2**63)),
        head(struct.pack("<Q", 2**40)),
        head(text("x") + struct.pack("<IIQ", 9, 9, 1)),
        head(struct.pack("<Q", 2) + b"\xff\xfe"),
    ],
)
def test_a_damaged_head_says_nothing(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    assert context_length(path) == 0


def test_there_is_no_file(tmp_path: Path) -> None:
    assert context_length(tmp_path / "none.gguf") == 0


def test_a_gguf_file_alone_says_what_it_reads(gguf: Path, tmp_path: Path) -> None:
    assert find_model(str(gguf)).context() == 512
    exports = tmp_path / "exports" / "gguf"
    exports.mkdir(parents=True)
    (exports / "model-q8_0.gguf").write_bytes(gguf.read_bytes())
    assert find_model(str(exports.parent)).context() == 512
    merged = exports.parent / "merged"
    merged.mkdir()
    (merged / "config.json").write_text(json.dumps({"max_position_embeddings": 256}))
    assert find_model(str(exports.parent)).context() == 256
    (merged / "config.json").write_text("{}")
    assert find_model(str(exports.parent)).context() == 512
    assert ServedModel("far", remote="org/model").context() == 0


def test_a_gguf_file_alone_is_served_with_its_own_context(gguf: Path, liar: Liar) -> None:
    liar()
    assert start_server(str(gguf), wanted=QUICK).record.context == 512


def test_more_than_a_model_reads_is_told(gguf: Path, liar: Liar) -> None:
    liar()
    said: list[str] = []
    start_server(str(gguf), wanted=Wanted(wait_s=20.0, context=1_024), say=said.append)
    assert any("reads 512 tokens" in each for each in said)


def test_a_registered_model_that_was_changed_is_not_served(
    gguf: Path, tmp_path: Path, liar: Liar
) -> None:
    liar()
    exports = tmp_path / "exports"
    (exports / "gguf").mkdir(parents=True)
    (exports / "gguf" / "model-q8_0.gguf").write_bytes(gguf.read_bytes())
    version = Registry().register("tiny", exports, RECORD)
    assert start_server("tiny", wanted=QUICK).fresh
    with (version.folder / "gguf" / "model-q8_0.gguf").open("ab") as file:
        file.write(b"\0")
    for asked in ("tiny", version.ref):
        with pytest.raises(UsageProblem, match="not what was registered") as caught:
            start_server(asked, name="again", wanted=QUICK)
        assert "gguf/model-q8_0.gguf was changed" in caught.value.detail
        assert caught.value.hint
    assert names() == ["tiny"]
    assert start_server(str(version.folder), name="meant", wanted=QUICK).fresh
