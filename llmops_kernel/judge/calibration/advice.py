"""How many labels it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.groups import as_values
from llmops_kernel.judge.stats.intervals import check_level
from llmops_kernel.judge.stats.quantiles import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.stats.groups import Floats


@dataclass(frozen=True, slots=True)
class LabelAdvice:
    """How many labels an interval takes.

    Attributes:
        within: Half the interval's width that is wanted.
        labels: Labels in all, those there are included; None where no number is enough for so few
            judged samples.
        alone: Labels without a judge: what the judge saves is the difference.
    """

    within: float
    labels: int | None
    alone: int


def advise(
    human: Sequence[float] | Floats,
    judge_labelled: Sequence[float] | Floats,
    total: int,
    within: Sequence[float],
    *,
    level: float = 0.95,
) -> tuple[LabelAdvice, ...]:
    """Return how many of the judged samples must be labelled for intervals of given widths.

    Source: the variance of PPI++ (arXiv 2311.01453) with the lambda that is best for n labels of
    N + n samples, var(h) - 2 lambda cov + lambda^2 var(j), over n, and lambda^2 var(j) over N; the
    smallest n whose z quantile times the root stays within the wish. Spreads come from the labels
    at hand, so that with few of them this is a rough guide.

    Args:
        human: What people said of the labelled samples.
        judge_labelled: What the judge said of the same.
        total: Judged samples, labelled or not.
        within: Half widths that are wanted (0.05 for plus or minus 5 points).
        level: Confidence.

    Raises:
        UsageProblem: A width is not above 0, or there are fewer than two labels.
    """
    check_level(level)
    truth, seen = as_values(human, "human scores"), as_values(judge_labelled, "judge's scores")
    if len(truth) < 2 or len(truth) != len(seen):
        raise UsageProblem("Advice needs two labels at least, each with a judge's score")
    spread_h, spread_j = float(truth.var(ddof=1)), float(seen.var(ddof=1))
    shared = float(np.cov(truth, seen)[0, 1])
    z = normal_quantile((1 + level) / 2)
    n = np.arange(2, max(total - 1, 3), dtype=np.float64)
    rest = np.maximum(total - n, 1)
    weight = np.zeros_like(n)
    if spread_j > 0:
        weight = np.clip(shared / ((1 + n / rest) * spread_j), 0, 1)
    variance = spread_h - 2 * weight * shared + weight**2 * spread_j
    half = z * np.sqrt(np.maximum(variance, 0) / n + weight**2 * spread_j / rest)
    found = []
    for width in within:
        if not 0 < width < 1:
            raise UsageProblem("A half width lies between 0 and 1", hint="--within 0.05")
        reached = np.nonzero(half <= width)[0]
        labels = int(n[reached[0]]) if reached.size else None
        found.append(LabelAdvice(width, labels, math.ceil(z * z * spread_h / width**2)))
    return tuple(found)
