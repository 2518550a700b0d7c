"""What every part of the semantic cache's benchmark works with: vectors, habits, questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import _retyped
import bench_cache
import numpy as np

from llmops_kernel.embed import builtin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 20_262


class Vectors:
    """The built-in embedder's vectors, each made once; kept in a file where one is named."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.exists():
            kept = np.load(file, allow_pickle=False)
            self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, shape (texts, 384)."""
        for text in texts:
            if text not in self._known:
                self._known[text] = builtin().embed_query(text)
        return np.stack([self._known[text] for text in texts])

    def one(self, text: str) -> NDArray[np.float32]:
        """Return one text's vector."""
        vector: NDArray[np.float32] = self([text])[0]
        return vector

    def keep(self) -> None:
        """Write them down for the next run."""
        if self._file is not None:
            vectors = np.stack(list(self._known.values()))
            np.savez(self._file, texts=np.array(list(self._known)), vectors=vectors)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part works with; `python` is GPTCache's, None without it."""

    folder: Path
    embed: Vectors
    quick: bool
    python: Path | None


def habits(folder: Path) -> _retyped.Habits:
    """Gather what people type from every public set of questions."""
    vocabulary = Path(str(bench_cache.files("llmops_kernel.embed").joinpath("minilm/vocab.txt")))
    known = frozenset(vocabulary.read_text(encoding="utf-8").split("\n"))
    names = ("banking77", "clinc150", "halueval", "bitext")
    texts = [text for name in names for text, _ in bench_cache.SETS[name](folder)]
    return _retyped.gather(texts, known.__contains__)


def every_question(folder: Path) -> list[str]:
    names = ("banking77", "bitext", "clinc150")
    return list(dict.fromkeys(t for name in names for t, _ in bench_cache.SETS[name](folder)))
