"""Values in clusters: what every interval and test here needs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def as_values(values: Sequence[float] | Floats, name: str = "values") -> Floats:
    """Return values as an array.

    Raises:
        UsageProblem: There is none, or one is not a finite number.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise UsageProblem(f"There are no {name}", hint="Statistics need at least one number")
    if not np.isfinite(array).all():
        raise UsageProblem(
            f"The {name} are not all finite numbers",
            hint="Leave out what is unscored, and report how much that is",
        )
    return array


def cluster_numbers(clusters: Sequence[str] | None, count: int) -> NDArray[np.int64] | None:
    """Return the number (from 0) of each value's cluster; None where every value is its own.

    A value whose cluster is "" is a cluster of its own.

    Raises:
        UsageProblem: There are not as many clusters as values.
    """
    if clusters is None:
        return None
    if len(clusters) != count:
        raise UsageProblem(
            "There must be one cluster for each value", detail=f"{len(clusters)} for {count}"
        )
    keys: dict[Any, int] = {}
    numbers = [keys.setdefault(name or place, len(keys)) for place, name in enumerate(clusters)]
    return np.asarray(numbers, dtype=np.int64) if len(keys) < count else None


def cluster_sums(values: Floats, numbers: NDArray[np.int64] | None) -> tuple[Floats, Floats]:
    """Return sum and size of each cluster."""
    if numbers is None:
        return values, np.ones_like(values)
    return (
        np.bincount(numbers, weights=values).astype(np.float64),
        np.bincount(numbers).astype(np.float64),
    )


def mean_variance(values: Floats, numbers: NDArray[np.int64] | None) -> tuple[float, int]:
    """Return the estimated variance of the mean, and the number of clusters it rests on.

    Source: with clusters the linearized variance of a ratio of totals, with G / (G - 1) (Cochran
    1977, section 9A; the same as the cluster-robust CR1 of an intercept); without, s^2 / n.
    """
    sums, sizes = cluster_sums(values, numbers)
    groups = len(sums)
    if groups < 2:
        return float("inf"), groups
    residuals = sums - values.mean() * sizes
    total = float(residuals @ residuals) * groups / (groups - 1)
    # What is left of equal values after rounding is no variance.
    if total <= 1e-24 * float(sums @ sums):
        total = 0.0
    return total / len(values) ** 2, groups
