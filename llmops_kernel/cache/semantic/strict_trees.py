"""Boosted trees without the library that grew them: arrays in, a probability out.

``strict.npz`` is written by ``scripts/build_verifier.py``. It holds numbers only, so reading it
runs nothing, and an array of any other kind is refused.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.cache.semantic.strict_features import NAMES
from llmops_kernel.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FILE = Path(__file__).with_name("strict.npz")
_LEAF = -1
_FIELDS = ("roots", "feature", "number", "left", "right", "base", "features")


class Trees:
    """Binary classification trees over `strict_features.features`.

    A node's number is its threshold (a value at or below it goes left), or a leaf's value. The
    probability is the logistic function of the base and all leaves' sum, which is what gradient
    boosting for log loss predicts.

    Args:
        roots: Index of each tree's first node, shape (trees,).
        feature: What a node looks at, -1 for a leaf, shape (nodes,).
        number: Threshold or value, shape (nodes,).
        left: Where to go at or below the threshold, shape (nodes,); always further on.
        right: Where to go above it, shape (nodes,); always further on.
        base: What the sum starts from.

    Raises:
        ValueError: The shapes differ, or a node leads outside or back.
    """

    def __init__(
        self,
        roots: NDArray[np.integer],
        feature: NDArray[np.integer],
        number: NDArray[np.floating],
        left: NDArray[np.integer],
        right: NDArray[np.integer],
        base: float,
    ) -> None:
        count = len(feature)
        inner = feature >= 0
        places = np.arange(count)
        sound = (
            all(len(each) == count for each in (number, left, right))
            and bool((feature < len(NAMES)).all())
            and bool(((roots >= 0) & (roots < count)).all())
            and bool(np.isfinite(number).all())
            and all(bool(((each > places) & (each < count))[inner].all()) for each in (left, right))
        )
        if not sound or not math.isfinite(base):
            raise ValueError("these arrays are no trees")
        # Lists: reading one number out of an array takes longer than the whole comparison.
        self._roots: list[int] = roots.tolist()
        self._feature: list[int] = feature.tolist()
        self._number: list[float] = number.astype(np.float64).tolist()
        self._left: list[int] = left.tolist()
        self._right: list[int] = right.tolist()
        self._base = base

    def probability(self, values: Sequence[float]) -> float:
        """Return the probability for one pair's features."""
        feature, number, left, right = self._feature, self._number, self._left, self._right
        total = self._base
        for node in self._roots:
            while (looked_at := feature[node]) != _LEAF:
                node = left[node] if values[looked_at] <= number[node] else right[node]
            total += number[node]
        return 1 / (1 + math.exp(-total)) if total > 0 else math.exp(total) / (1 + math.exp(total))

    def save(self, path: Path) -> None:
        """Write the trees; the same trees give the same bytes."""
        np.savez_compressed(
            path,
            roots=np.array(self._roots, np.int16),
            feature=np.array(self._feature, np.int8),
            number=np.array(self._number, np.float64),
            left=np.array(self._left, np.int16),
            right=np.array(self._right, np.int16),
            base=np.array(self._base, np.float64),
            features=np.array(len(NAMES), np.int16),
        )

    @classmethod
    def load(cls, path: Path = FILE) -> Trees:
        """Read trees.

        Raises:
            LLMOpsError: The file is missing, or holds no trees over these features.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                found = {name: kept[name] for name in _FIELDS}
            if int(found.pop("features")) != len(NAMES):
                raise ValueError("made for other features")
            base = float(found.pop("base"))
            return cls(**found, base=base)
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise LLMOpsError(
                "The strict verifier cannot be read",
                detail=f"{path.name}: {error}",
                hint="scripts/build_verifier.py makes it again",
            ) from error


@cache
def builtin_trees() -> Trees:
    """Return the trees that ship with the package, read at the first call. Raises as `load`."""
    return Trees.load()
