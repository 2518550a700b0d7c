"""What an index needs from a vector store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.where import Where


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a store found.

    Attributes:
        chunk_id: The chunk.
        score: Cosine of question and chunk, whatever the store's own measure is.
    """

    chunk_id: str
    score: float


class VectorStore(Protocol):
    """The vectors of one index, in a store of the person's choice.

    The texts, documents and vectors of an index are kept in the record too, so a store can be
    filled again or changed for another without reading or embedding anything.
    All methods raise `StoreError` (the store's name, and what to do) when it cannot be reached.
    """

    @property
    def label(self) -> str:
        """The store for people, without secrets."""
        ...

    def upsert(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Write chunks with their vectors (n, dim), replacing those of the same ids."""
        ...

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; unknown ids are ignored."""
        ...

    def query(self, vector: Vectors, k: int, where: Where) -> list[Hit]:
        """Return the nearest chunks that ``where`` lets through, best first, at most ``k``."""
        ...

    def count(self) -> int:
        """Return the number of chunks."""
        ...

    def drop(self) -> None:
        """Remove everything that belongs to the index from the store."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
