"""Chunkers by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.rag.chunking.markdown import MarkdownChunker
from llmops_kernel.rag.chunking.parents import ParentChildChunker
from llmops_kernel.rag.chunking.plain import SentenceChunker, TokenChunker
from llmops_kernel.rag.chunking.semantic import SemanticChunker

if TYPE_CHECKING:
    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.rag.chunking.chunker import Chunker

DEFAULT = "markdown"

# (size, overlap) in tokens. 240 and a heading are what the built-in embedder reads of a text.
# Overlap moved no chunker's recall at equal context by more than chance; the one that cuts within
# sentences has some, so that each sentence is whole in one of its windows.
_SIZES = {
    "markdown": (240, 0),
    "sentence": (240, 0),
    "token": (240, 40),
    "semantic": (240, 0),
    "parent-child": (120, 0),
}
CHUNKERS = tuple(_SIZES)
_SMALLEST, _LARGEST = 16, 100_000


def make_chunker(
    name: str = DEFAULT,
    *,
    size: int | None = None,
    overlap: int | None = None,
    embedder: Embedder | None = None,
) -> Chunker:
    """Return the chunker of a name.

    Args:
        name: "markdown", "sentence", "token", "semantic" or "parent-child".
        size: Most tokens of a searched passage; None for the chunker's own. More than about 250
            are not read to their end by the built-in embedder.
        overlap: Most tokens that a passage repeats from the one before, less than half of the
            size; None for the chunker's own.
        embedder: For "semantic": what tells where the subject changes.

    Raises:
        UsageProblem: An unknown name, a size or an overlap that cannot be, or no embedder.
    """
    if name not in _SIZES:
        raise UsageProblem(
            "There is no such chunker",
            detail=f"{name!r}{nearest(name, _SIZES)}",
            hint=f"one of {', '.join(_SIZES)}",
        )
    own_size, own_overlap = _SIZES[name]
    size = own_size if size is None else size
    overlap = min(own_overlap, size // 4) if overlap is None else overlap
    if not _SMALLEST <= size <= _LARGEST:
        raise UsageProblem(
            "The size of a chunk is out of bounds",
            detail=f"{size} tokens",
            hint=f"from {_SMALLEST} to {_LARGEST:,} tokens",
        )
    if not 0 <= overlap < size / 2:
        raise UsageProblem(
            "The overlap of chunks is out of bounds",
            detail=f"{overlap} tokens",
            hint="from 0 to less than half of the size",
        )
    if name == "semantic":
        if embedder is None:
            raise UsageProblem(
                "The semantic chunker needs an embedder", hint="give one, or use another chunker"
            )
        return SemanticChunker(size, overlap, embedder)
    if name == "token":
        return TokenChunker(size, overlap)
    if name == "sentence":
        return SentenceChunker(size, overlap)
    if name == "parent-child":
        return ParentChildChunker(size, overlap)
    return MarkdownChunker(size, overlap)
