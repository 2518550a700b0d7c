"""The built-in embedder against the published model, and its promises."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from llmops_kernel.embed import Embedder, MiniLM, builtin
from llmops_kernel.embed.minilm import _FOLDER, ID
from llmops_kernel.errors import LLMOpsError, UsageProblem

DATA = Path(__file__).parent / "data"
TEXTS: list[str] = json.loads((DATA / "texts.json").read_text(encoding="utf-8"))
REFERENCE = np.load(DATA / "reference.npz")["vectors"].astype(np.float32)


def test_it_is_an_embedder() -> None:
    embedder = builtin()
    assert isinstance(embedder, Embedder)
    assert (embedder.id, embedder.dim, embedder.max_tokens) == ("minilm-e4b8@1", 384, 256)
    assert builtin() is embedder


def test_questions_are_near_the_reference() -> None:
    vectors = np.stack([builtin().embed_query(text) for text in TEXTS])
    cosines = (vectors * REFERENCE).sum(axis=1)
    assert cosines.mean() >= 0.99
    assert np.percentile(cosines, 5) >= 0.98


def test_passages_are_near_the_reference_in_their_order() -> None:
    vectors = builtin().embed_texts(TEXTS)
    cosines = (vectors * REFERENCE).sum(axis=1)
    assert cosines.mean() >= 0.985
    assert np.percentile(cosines, 5) >= 0.97
    # Each row is nearer to its own text than to any other.
    assert (np.argmax(vectors @ REFERENCE.T, axis=1) == np.arange(len(TEXTS))).all()


def test_shapes_types_and_lengths() -> None:
    embedder = builtin()
    vectors, vector = embedder.embed_texts(TEXTS[:20]), embedder.embed_query(TEXTS[0])
    assert vectors.shape == (20, 384)
    assert vector.shape == (384,)
    assert vectors.dtype == vector.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.embed_texts([]).shape == (0, 384)
    assert embedder.embed_texts(tuple(TEXTS[:2])).shape == (2, 384)


def test_a_question_has_the_same_bits_at_every_call_and_in_every_session() -> None:
    mine, other = builtin(), MiniLM(threads=2)
    for text in (*TEXTS[:5], TEXTS[-1]):
        bits = mine.embed_query(text).tobytes()
        assert mine.embed_query(text).tobytes() == bits
        assert mine.embed_texts([text])[0].tobytes() == bits
        assert other.embed_query(text).tobytes() == bits


def test_neighbours_change_little() -> None:
    embedder = builtin()
    alone = np.stack([embedder.embed_query(text) for text in TEXTS])
    together = embedder.embed_texts(TEXTS)
    cosines = (alone * together).sum(axis=1)
    sentences = [number for number, text in enumerate(TEXTS) if embedder.count_tokens(text) > 8]
    assert len(sentences) > 80
    assert (cosines[sentences] > 0.97).all()
    assert (cosines > 0.94).all()  # a word or two
    assert embedder.embed_texts(TEXTS).tobytes() == together.tobytes()


@pytest.mark.parametrize("text", ["", " ", "\u0301", "\x00", "?", "\ud800", "𓀀"])
def test_texts_without_words_have_vectors(text: str) -> None:
    vector = builtin().embed_query(text)
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    beside = builtin().embed_texts([text, TEXTS[-1]])
    assert np.isfinite(beside).all()


def test_what_is_read_of_a_long_text() -> None:
    embedder = builtin()
    long = " ".join(TEXTS)
    assert embedder.count_tokens(long) == 256
    assert embedder.count_tokens("hello") == 3
    assert (embedder.embed_query(long) == embedder.embed_query(long + " and more")).all()


def test_meaning() -> None:
    embedder = builtin()
    question = embedder.embed_query("How much is the basic account per month?")
    fee, chess = embedder.embed_texts(
        ["The basic account costs 4.90 euros a month.", "Chess programs evaluate the board."]
    )
    assert question @ fee > 0.6
    assert question @ chess < 0.2


def test_threads_may_share_one() -> None:
    embedder = builtin()
    alone = [embedder.embed_query(text).tobytes() for text in TEXTS[:40]]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: embedder.embed_query(text).tobytes(), TEXTS[:40]))
    assert found == alone


def test_it_goes_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(builtin())) is builtin()
    two = pickle.loads(pickle.dumps(MiniLM(threads=2)))
    assert (two.embed_query("a") == builtin().embed_query("a")).all()


@pytest.mark.parametrize("texts", ["one text", b"bytes", None, 3, [1, 2], ["a", None]])
def test_what_is_no_list_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(UsageProblem):
        builtin().embed_texts(texts)  # type: ignore[arg-type]


def test_threads_are_counted_from_one() -> None:
    with pytest.raises(UsageProblem):
        MiniLM(threads=0)


def test_a_question_must_be_a_text() -> None:
    with pytest.raises(UsageProblem):
        builtin().embed_query(None)  # type: ignore[arg-type]


# ---- its files ------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(_FOLDER, tmp_path / "minilm"))


def _refused(folder: Path) -> str:
    with pytest.raises(LLMOpsError, match="incomplete or was changed") as caught:
        MiniLM(folder=folder)
    assert "Install it again" in caught.value.hint
    return caught.value.detail


def test_a_copy_works(copy: Path) -> None:
    assert (MiniLM(folder=copy).embed_query("a") == builtin().embed_query("a")).all()


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt"])
def test_a_changed_file_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    assert name in _refused(copy)


@pytest.mark.parametrize("name", ["model.onnx", "vocab.txt", "manifest.json"])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert name in _refused(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "minilm-e4b8@0"}', '{"id": "x", "a": 1}'])
def test_a_changed_manifest_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    assert "manifest.json" in _refused(copy)


def test_a_manifest_without_hashes_is_refused(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "files": {}}))
    assert "vocab.txt" in _refused(copy)


def test_a_model_that_onnxruntime_cannot_load(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(b"from the future")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["model.onnx"]["sha256"] = hashlib.sha256(b"from the future").hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LLMOpsError, match="cannot load") as caught:
        MiniLM(folder=copy)
    assert "onnxruntime" in caught.value.hint


def test_the_manifest_tells_the_truth() -> None:
    manifest = json.loads((_FOLDER / "manifest.json").read_text())
    assert manifest["id"] == ID
    for name, facts in manifest["files"].items():
        data = (_FOLDER / name).read_bytes()
        assert facts == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["reference"]["cosine_mean"] >= 0.99
    assert manifest["reference"]["cosine_p5"] >= 0.98


# ---- what is imported -----------------------------------------------------------------------


def _run(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_nothing_heavy_is_imported() -> None:
    code = """
import sys, llmops_kernel, llmops_kernel.embed, llmops_kernel.calls.offline
early = {"numpy", "onnxruntime", "llama_index"} & set(sys.modules)
from llmops_kernel.embed import builtin
builtin().embed_query("hello")
late = {"torch", "transformers", "tokenizers", "llama_index", "onnx"} & set(sys.modules)
print(sorted(early), sorted(late))
"""
    assert _run(code) == "[] []"


@pytest.mark.parametrize("package", ["numpy", "onnxruntime"])
def test_a_missing_package_is_named(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from llmops_kernel.embed import builtin
from llmops_kernel.errors import MissingExtra
try:
    builtin()
except MissingExtra as error:
    print(error.sentence())
"""
    said = _run(code)
    assert package in said
    assert "llmops-kernel[rag]" in said
