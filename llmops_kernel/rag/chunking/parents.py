"""Small chunks to search, in larger ones to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking.markdown import cut_sections
from llmops_kernel.rag.chunking.units import markdown_units
from llmops_kernel.rag.chunking.words import Words
from llmops_kernel.rag.documents import Passage

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Document

# LlamaIndex's HierarchicalNodeParser cuts parents by sentences, across headings; and the places of
# children are often those of other text, because they are searched for in copies of the parents.

PARENT = 3.5  # times the tokens of a child
_SMALL = 6  # as in `markdown`


@dataclass(frozen=True, slots=True)
class ParentChildChunker:
    """Children of about a paragraph, parents of about a section.

    Attributes:
        size: Most tokens of a child; a parent has up to 3.5 times as many.
        overlap: Most tokens that a child repeats from the one before within its parent.
    """

    size: int
    overlap: int
    name: str = "parent-child"

    @property
    def spec(self) -> str:
        """Everything that decides where it cuts."""
        return f"parent-child/1 size={self.size} overlap={self.overlap} parent={self.parent_size}"

    @property
    def parent_size(self) -> int:
        """Most tokens of a parent."""
        return int(self.size * PARENT)

    def split(self, document: Document) -> list[Passage]:
        """Return each parent followed by its children.

        A parent that would have one child is left out: that child is searched by itself.
        """
        words = Words(document.text)
        budget = max(1, self.size - self.overlap)
        sections, units = markdown_units(words, document.media, budget)
        title = count_tokens(document.title)
        passages: list[Passage] = []
        for span, heading, run in cut_sections(
            words, sections, units, self.parent_size, small=self.parent_size
        ):
            children = list(
                cut_sections(
                    words,
                    sections,
                    units[run.start : run.stop],
                    budget,
                    title=title,
                    overlap=self.overlap,
                    small=self.size // _SMALL,
                )
            )
            parent = None
            if len(children) > 1:
                parent = len(passages)
                passages.append(Passage(*words.place(span), heading=heading, leaf=False))
            passages.extend(
                Passage(*words.place(own), heading=above, parent=parent)
                for own, above, _ in children
            )
        return passages
