"""How much of what all levers save together is each one's.

Savings do not add up: a request that the cache answers needs no smaller model. A lever's Shapley
value is what it adds, averaged over all orders in which the levers could be pulled (Shapley 1953);
the values add up to what all save together.
"""

from __future__ import annotations

from itertools import combinations
from math import factorial
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def coalitions(levers: Sequence[str]) -> Iterator[frozenset[str]]:
    """Return every set of levers, from none to all."""
    for size in range(len(levers) + 1):
        for each in combinations(levers, size):
            yield frozenset(each)


def shapley(levers: Sequence[str], worth: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Return each lever's share of what all are worth together.

    Args:
        levers: Their names.
        worth: What each set of levers is worth; all 2^n sets, the empty one included.

    Raises:
        UsageProblem: A set is missing.
    """
    total = len(levers)
    missing = [each for each in coalitions(levers) if each not in worth]
    if missing:
        raise UsageProblem(
            "The worth of a set of levers is missing",
            detail=", ".join(sorted(missing[0])) or "none",
        )
    shares = {}
    for lever in levers:
        others = [each for each in levers if each != lever]
        shares[lever] = sum(
            factorial(len(each)) * factorial(total - len(each) - 1) / factorial(total)
            * (worth[each | {lever}] - worth[each])
            for each in coalitions(others)
        )  # fmt: skip
    return shares
