"""Chunks that end where the subject changes, as the vectors of neighbouring sentences see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_kernel.rag.chunking.cutting import cut, reach_back, span_of
from llmops_kernel.rag.chunking.markdown import shared_headings
from llmops_kernel.rag.chunking.units import TIED, markdown_units
from llmops_kernel.rag.chunking.words import Span, Words
from llmops_kernel.rag.documents import Passage

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.rag.chunking.units import Unit
    from llmops_kernel.rag.documents import Document

# LlamaIndex's SemanticSplitterNodeParser has no largest size: at its own settings half of its
# chunks have 400 tokens and more, some 2,000, which no small embedder reads. And it compares
# windows that share two of three sentences, which hides the change.

PERCENTILE = 90  # of the distances between neighbours; above it the subject changes
_FULL = 0.5  # half full chunks are no fault where each has its subject
_CHANGE = -0.35  # a cut where the subject changes is a gain, unless it leaves a scrap
_AGAINST = 0.6  # what a cut costs where the subject stays most the same


@dataclass(frozen=True, slots=True)
class SemanticChunker:
    """Sentences about one subject.

    Attributes:
        size: Most tokens of a chunk.
        overlap: Most tokens, in whole sentences, that a chunk repeats from the one before.
        embedder: Tells how near neighbouring sentences are. Each sentence is embedded once, with
            the one after it.
        percentile: Share of the places between sentences, in percent, where the subject is taken
            to stay.
    """

    size: int
    overlap: int
    embedder: Embedder
    percentile: int = PERCENTILE
    name: str = "semantic"

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        return (
            f"semantic/1 size={self.size} overlap={self.overlap} percentile={self.percentile}"
            f" embedder={self.embedder.id}"
        )

    def split(self, document: Document) -> list[Passage]:
        """Return groups of sentences, cut where their meaning moves most."""
        words = Words(document.text)
        budget = max(1, self.size - self.overlap)
        sections, units = markdown_units(words, document.media, budget)
        units = self._weigh(words, units)
        groups = cut(units, words, budget, full=_FULL)
        return [
            Passage(
                *words.place(span_of(units, reached)),
                heading=shared_headings(sections, {units[at].section for at in group}),
            )
            for group, reached in zip(
                groups, reach_back(units, groups, words, self.overlap), strict=True
            )
        ]

    def _weigh(self, words: Words, units: list[Unit]) -> list[Unit]:
        """The units, with costs that follow the distance to what stands before."""
        if len(units) < 3 or words.tokens(Span(0, len(words))) <= self.size // 2:
            return units
        import numpy as np  # a quarter of a second that the other chunkers do without

        distances = self._distances(words, units)
        # The share of places that are nearer; equal distances cost the same.
        order = np.searchsorted(np.sort(distances), distances) / len(distances)
        changes = distances > np.percentile(distances, self.percentile)
        weighed = [units[0]]
        for at, unit in enumerate(units[1:]):
            cost = _CHANGE if changes[at] else _AGAINST * float(1 - order[at])
            weighed.append(unit if unit.cost >= TIED else replace(unit, cost=cost))
        return weighed

    def _distances(self, words: Words, units: Sequence[Unit]) -> NDArray[np.float32]:
        """How far the sentences before each unit but the first are from those that it begins."""
        pairs = [span_of(units, range(at, min(at + 2, len(units)))) for at in range(len(units))]
        texts = [words.text[slice(*words.place(pair))] for pair in pairs]
        vectors = self.embedder.embed_texts(texts)
        # Between units k-1 and k: the pair that ends at k-1 against the pair that begins at k.
        before = vectors[[max(0, at - 2) for at in range(1, len(units))]]
        distances: NDArray[np.float32] = 1.0 - (before * vectors[1:]).sum(axis=1)
        return distances.round(5)  # what is beyond differs between machines
