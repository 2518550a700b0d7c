"""What every embedder offers: texts in, unit vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose dot product is their cosine.

    Attributes:
        id: Model and version (``minilm-e4b8@1``). Stored with every vector: vectors of different
            ids are never compared.
        dim: Length of a vector.
        max_tokens: Tokens of a text that are read; the rest is ignored.
    """

    @property
    def id(self) -> str:
        """Model and version."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return an array of shape (number of texts, dim), float32, rows of length 1.

        For passages: texts may be computed in batches, so the last digits of a vector can depend
        on its neighbours.
        """
        ...

    def embed_query(self, text: str) -> Vectors:
        """Return one vector of shape (dim,), float32, length 1.

        Computed alone: the same text gives the same bits, as keys need.
        """
        ...
