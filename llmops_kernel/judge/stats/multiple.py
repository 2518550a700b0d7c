"""Several tests at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the same order.

    Source: Holm 1979. The i-th smallest of m is multiplied by m - i + 1, never below the one before
    it, never above 1. Rejecting those at or under alpha keeps the chance of any false rejection at
    alpha, whatever the dependence.

    Raises:
        UsageProblem: A p-value is not within 0..1.
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise UsageProblem("A p-value must lie between 0 and 1")
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, reached = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = reached
    return adjusted
