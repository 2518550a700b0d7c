"""Joining dense and BM25 scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_RRF_K = 60


def minmax(
    dense: NDArray[np.float32],
    lexical: NDArray[np.float32],
    *,
    dense_floor: float,
    lexical_floor: float,
    weight: float,
) -> NDArray[np.float32]:
    """Return weighted sums of scores that are scaled to 0..1 for this question.

    A convex combination with per-query min-max normalisation (Bruch, Gai and Ingber 2023). Scores
    that are all equal say nothing and count 0.

    Args:
        dense: Cosines of the candidates, shape (n,).
        lexical: BM25 scores of the same candidates.
        dense_floor: The lowest cosine of any chunk, or an estimate.
        lexical_floor: The lowest BM25 score of any chunk.
        weight: Share of the dense score.
    """
    return weight * _scaled(dense, dense_floor) + (1 - weight) * _scaled(lexical, lexical_floor)


def reciprocal_rank(rankings: Sequence[Sequence[int]], size: int) -> NDArray[np.float32]:
    """Return sums of reciprocal ranks (Cormack, Clarke and Buettcher 2009), shape (size,).

    Args:
        rankings: Candidates, best first, as places below ``size``.
        size: How many candidates there are.
    """
    total = np.zeros(size, np.float32)
    for ranking in rankings:
        for rank, place in enumerate(ranking):
            total[place] += 1.0 / (_RRF_K + rank + 1)
    return total


def _scaled(scores: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    if not len(scores):
        return scores
    top = float(scores.max())
    if top <= floor:
        return np.zeros_like(scores)
    scaled: NDArray[np.float32] = np.clip((scores - floor) / (top - floor), 0.0, 1.0)
    return scaled
