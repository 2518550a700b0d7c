"""The built-in embedder: all-MiniLM-L6-v2 with a 4-bit token table and an 8-bit body.

It ships in the wheel (18 MB) and runs on onnxruntime without a download; the mean cosine of its
vectors to the float32 model's is 0.99. ``scripts/build_embedder.py`` makes it;
``minilm/manifest.json`` says from what.

The 8-bit arithmetic scales numbers by the largest of a whole batch, so a text's vector depends a
little on its batch: the cosine to the vector it has alone is 0.99, at worst 0.98 for sentences and
0.95 for a word or two. Alone, a text always has the same bits, with one thread as with several, on
one machine with one version of onnxruntime; another differs by less than a neighbour does.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmops_kernel.embed.checks import check_texts, package
from llmops_kernel.embed.wordpiece import WordPiece
from llmops_kernel.errors import LLMOpsError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.embed.protocol import Vectors

ID = "minilm-e4b8@1"
_FOLDER = Path(__file__).with_name("minilm")
_BATCH = 16


class MiniLM:
    """Texts in, unit vectors of 384 numbers out; English, up to 256 tokens of a text.

    About 1.7 ms of CPU time a question and 30 ms a passage of 256 tokens. Threads may share one.

    Args:
        threads: Threads that one call may use. More than 1 makes long texts faster and takes
            processors from everything else.
        folder: Where model, vocabulary and manifest lie (default: in the package).

    Raises:
        MissingExtra: onnxruntime or numpy is not installed.
        UsageProblem: ``threads`` is below 1.
        LLMOpsError: A file is missing, or is not the one that the manifest names; or onnxruntime
            is too old.
    """

    def __init__(self, *, threads: int = 1, folder: Path | None = None) -> None:
        if threads < 1:
            raise UsageProblem("threads must be at least 1")
        self._np: Any = package("numpy")
        runtime = package("onnxruntime")
        self._made_of = (threads, folder)
        folder = folder or _FOLDER
        manifest = _read_manifest(folder)
        self._dim: int = manifest["dim"]
        self._wordpiece = WordPiece(
            _read(folder, "vocab.txt", manifest).decode().splitlines(), manifest["max_tokens"]
        )
        self._session = _session(runtime, _read(folder, "model.onnx", manifest), threads)

    @property
    def id(self) -> str:
        """Model and version."""
        return ID

    @property
    def dim(self) -> int:
        """Length of a vector: 384."""
        return self._dim

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read: 256."""
        return self._wordpiece.max_tokens

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text that are read, with the two that frame it."""
        return len(self._wordpiece.encode(text))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (number of texts, 384), float32, rows of length 1.

        Texts of similar length are computed together, 16 at a time. A single text, also one of
        several that are equal, is computed like a question.

        Raises:
            UsageProblem: It is no list of texts.
        """
        ids = [self._wordpiece.encode(text) for text in check_texts(texts)]
        found: Vectors = self._np.empty((len(ids), self._dim), self._np.float32)
        order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            found[batch] = self._run([ids[number] for number in batch])
        return found

    def embed_query(self, text: str) -> Vectors:
        """Return one vector of shape (384,), float32, length 1, the same bits at every call.

        Raises:
            UsageProblem: It is no text.
        """
        (text,) = check_texts([text])
        vector: Vectors = self._run([self._wordpiece.encode(text)])[0]
        return vector

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process (a worker of LlamaIndex or Dask) loads its own.
        return _made_again, self._made_of

    def _run(self, batch: list[list[int]]) -> Vectors:
        longest = max(map(len, batch))
        tokens = self._np.zeros((len(batch), longest), self._np.int32)
        mask = self._np.zeros_like(tokens)
        for row, ids in enumerate(batch):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        vectors: Vectors = self._session.run(None, {"input_ids": tokens, "attention_mask": mask})[0]
        return vectors


_loading = Lock()


def builtin() -> MiniLM:
    """Return the built-in embedder, one for the whole process, loaded at the first call.

    Raises:
        MissingExtra: onnxruntime or numpy is not installed.
        LLMOpsError: Its files are missing or were changed.
    """
    with _loading:  # two threads at once would load it twice
        return _loaded()


@cache
def _loaded() -> MiniLM:
    return MiniLM()


def _made_again(threads: int, folder: Path | None) -> MiniLM:
    return builtin() if (threads, folder) == (1, None) else MiniLM(threads=threads, folder=folder)


def _session(runtime: Any, model: bytes, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, and the rest is of no use
    # A kernel waits most of the time: threads that spin would burn a processor meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common parent
        raise LLMOpsError(
            "onnxruntime cannot load the built-in embedding model",
            detail=f"onnxruntime {runtime.__version__}: {error}",
            hint='Update it: pip install -U "onnxruntime>=1.20"',
        ) from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        found = manifest["id"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(f"manifest.json: {error}") from error
    if found != ID:
        raise _damaged(f"manifest.json is of {found}, wanted is {ID}")
    return manifest


def _read(folder: Path, name: str, manifest: dict[str, Any]) -> bytes:
    """Return a file's bytes, the very ones whose hash was compared."""
    try:
        data = (folder / name).read_bytes()
        wanted = manifest["files"][name]["sha256"]
    except (OSError, KeyError, TypeError) as error:
        raise _damaged(f"{name}: {error}") from error
    if hashlib.sha256(data).hexdigest() != wanted:
        raise _damaged(f"{name} is not the file that manifest.json names")
    return data


def _damaged(detail: str) -> LLMOpsError:
    return LLMOpsError(
        "The built-in embedding model is incomplete or was changed",
        detail=detail,
        hint="Install it again: pip install --force-reinstall --no-deps llmops-kernel",
    )
