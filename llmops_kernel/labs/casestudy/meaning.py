"""Rows of tables by meaning and words: "inactivity" is not a word of "Dormant account"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.prompts.compress.ranking import bm25

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.embed import Embedder
    from llmops_kernel.embed.protocol import Vectors

_FLOOR = 0.2  # cosine below which two texts have nothing to do with each other


class Meaning:
    """Scores passages by cosine and BM25 together; each passage is embedded once.

    Args:
        embedder: Turns texts into unit vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}

    def __call__(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return the score of each passage, 0 and up."""
        new = [each for each in dict.fromkeys(passages) if each not in self._known]
        if new:
            self._known.update(zip(new, self._embedder.embed_texts(new), strict=True))
        asked = self._embedder.embed_query(question)
        words = bm25(question, passages)
        most = max(words, default=0.0) or 1.0
        return [
            max(0.0, float(self._known[each] @ asked) - _FLOOR) + word / most
            for each, word in zip(passages, words, strict=True)
        ]
