"""Choosing results that do not repeat each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def diversified(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], k: int, diversity: float
) -> list[int]:
    """Return the places of ``k`` candidates by maximal marginal relevance, in order.

    Carbonell and Goldstein 1998: each next one is good itself and unlike those chosen before.

    Args:
        scores: Of the candidates, scaled to 0..1, shape (n,).
        vectors: Of the candidates, shape (n, dim), rows of length 1.
        k: How many to choose.
        diversity: 0 orders by score alone, 1 by difference alone.
    """
    left = list(range(len(scores)))
    chosen: list[int] = []
    nearest = np.zeros(len(scores), np.float32)
    while left and len(chosen) < k:
        worth = (1 - diversity) * scores[left] - diversity * nearest[left]
        best = left[int(np.argmax(worth))]
        chosen.append(best)
        left.remove(best)
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
