"""What a chunker made of documents, in figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.rag.chunking.sentences import ends_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.rag.chunking.chunker import Chunker
    from llmops_kernel.rag.documents import Document, Passage


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """Figures of the searched passages of documents.

    Attributes:
        spec: The chunker's spec.
        documents: How many documents were cut.
        count: How many passages are searched.
        parents: How many larger passages they merge into.
        p5: Tokens of a passage: the 5th percentile.
        p50: The median.
        p95: The 95th percentile.
        longest: Tokens of the longest passage.
        overlap: Share of the passages' characters that stand in the passage before, 0 to 1.
        cut_mid_sentence: Share of the passages that end within a sentence, 0 to 1.
        over_limit: How many passages have more tokens than the limit.
        limit: The most tokens of a passage that are read, or else the chunker's size.
    """

    spec: str
    documents: int
    count: int
    parents: int
    p5: int
    p50: int
    p95: int
    longest: int
    overlap: float
    cut_mid_sentence: float
    over_limit: int
    limit: int

    def as_dict(self) -> dict[str, str | int | float]:
        """Return the figures as plain data."""
        return asdict(self)


def report_chunks(
    chunker: Chunker,
    split: Iterable[tuple[Document, Sequence[Passage]]],
    *,
    limit: int | None = None,
) -> ChunkReport:
    """Count what a chunker made of documents.

    Args:
        chunker: The chunker.
        split: Documents, each with its passages.
        limit: Most tokens that the embedder reads (``Embedder.max_tokens``); None for the
            chunker's size.
    """
    limit = chunker.size if limit is None else limit
    sizes: list[int] = []
    documents = parents = shared = characters = mid = 0
    for document, passages in split:
        documents += 1
        leaves = [passage for passage in passages if passage.leaf]
        parents += len(passages) - len(leaves)
        reached = 0
        for leaf in leaves:
            sizes.append(count_tokens(document.text[leaf.start : leaf.end]))
            characters += leaf.end - leaf.start
            shared += max(0, min(reached, leaf.end) - leaf.start)
            mid += not ends_sentence(document.text, leaf.start, leaf.end)
            reached = max(reached, leaf.end)
    sizes.sort()
    return ChunkReport(
        spec=chunker.spec,
        documents=documents,
        count=len(sizes),
        parents=parents,
        p5=_percentile(sizes, 5),
        p50=_percentile(sizes, 50),
        p95=_percentile(sizes, 95),
        longest=sizes[-1] if sizes else 0,
        overlap=shared / characters if characters else 0.0,
        cut_mid_sentence=mid / len(sizes) if sizes else 0.0,
        over_limit=sum(size > limit for size in sizes),
        limit=limit,
    )


def _percentile(ordered: Sequence[int], percent: int) -> int:
    """The smallest value that at least a share of the values do not exceed; 0 without values."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
