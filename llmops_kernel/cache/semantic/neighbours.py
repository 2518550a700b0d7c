"""The texts of a partition that are nearest to a query, wherever the partition is compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmops_kernel.cache.semantic.margin import Standing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmops_kernel.cache.semantic.gates import Gate

SHOWN = 3
"""Neighbours that are returned: those a verifier is asked about."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A cached text near a query.

    Attributes:
        key: Of its answer.
        group: Its answer group.
        gate: What must agree.
        vector: Shape (dim,), length 1.
        cosine: To the query.
    """

    key: str
    group: str
    gate: Gate
    vector: NDArray[np.float32]
    cosine: float


@dataclass(frozen=True, slots=True)
class Nearest:
    """How a query stands in a partition, and the texts nearest to it, the best first."""

    standing: Standing
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def best(self) -> Neighbour | None:
        """The nearest text; None in an empty partition."""
        return self.neighbours[0] if self.neighbours else None


NOBODY = Nearest(Standing(-1, -1, 0.0, 0.0, 0.0, 0))


class Texts(Protocol):
    """The texts of one partition."""

    def nearest(self, vector: NDArray[np.float32]) -> Nearest:
        """Return how a query stands, and its neighbours."""
        ...

    def group_of(self, answer: str) -> str | None:
        """Return the group that an answer belongs to; None if nobody was given it."""
        ...

    def add(
        self, key: str, vector: NDArray[np.float32], *, group: str, answer: str, gate: Gate
    ) -> None:
        """Add a text that was written down, in place of an earlier one of this key."""
        ...

    def remove(self, key: str) -> None:
        """Remove a text, if it is there."""
        ...

    def merge(self, one: str, other: str) -> None:
        """Make two groups one, called as the first, as it was written down."""
        ...
