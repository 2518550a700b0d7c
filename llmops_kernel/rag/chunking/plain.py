"""Chunkers that see running text: by tokens, by sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.rag.chunking.cutting import fill, reach_back, span_of
from llmops_kernel.rag.chunking.units import sentence_units
from llmops_kernel.rag.chunking.words import Span, Words
from llmops_kernel.rag.documents import Passage

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Document

# LlamaIndex's TokenTextSplitter and SentenceSplitter return texts, not places. Its nodes' places
# are found by searching for each text from one character beyond the last place, which fails where
# a text repeats itself: of one sentence repeated 300 times, or of 100 equal tables, a third to two
# thirds lay in no node. It also takes 1.3 s to import.


@dataclass(frozen=True, slots=True)
class TokenChunker:
    """Windows of equal size, wherever they begin and end: the baseline.

    Attributes:
        size: Tokens of a window.
        overlap: Tokens that a window shares with the one before.
    """

    size: int
    overlap: int
    name: str = "token"

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        return f"token/1 size={self.size} overlap={self.overlap}"

    def split(self, document: Document) -> list[Passage]:
        """Return windows; words are never cut."""
        words = Words(document.text)
        passages: list[Passage] = []
        first, last = 0, 0
        while last < len(words):
            last = words.fit(first, self.size, len(words))
            passages.append(Passage(*words.place(Span(first, last))))
            # Always at least one word further, however long the words are.
            first = max(first + 1, words.reach(last, self.overlap))
        return passages


@dataclass(frozen=True, slots=True)
class SentenceChunker:
    """As many whole sentences as fit.

    Attributes:
        size: Most tokens of a chunk; a longer sentence is cut between words.
        overlap: Most tokens that a chunk repeats, in whole sentences, from the one before.
    """

    size: int
    overlap: int
    name: str = "sentence"

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        return f"sentence/1 size={self.size} overlap={self.overlap}"

    def split(self, document: Document) -> list[Passage]:
        """Return groups of sentences."""
        words = Words(document.text)
        budget = max(1, self.size - self.overlap)
        units = sentence_units(words, Span(0, len(words)), budget)
        groups = reach_back(units, fill(units, words, budget), words, self.overlap)
        return [Passage(*words.place(span_of(units, group))) for group in groups]
