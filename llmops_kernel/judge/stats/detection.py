"""A judge as a detector: how well it tells good answers from bad ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.agreement import cohen_kappa
from llmops_kernel.judge.stats.groups import as_values
from llmops_kernel.judge.stats.intervals import Interval, check_level, wilson
from llmops_kernel.judge.stats.quantiles import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.stats.groups import Floats


@dataclass(frozen=True, slots=True)
class Detection:
    """How a judge's verdicts compare with people's; 1 is the positive class.

    Attributes:
        true_positives: Both say 1.
        false_positives: The judge says 1, people say 0.
        true_negatives: Both say 0.
        false_negatives: The judge says 0, people say 1.
        accuracy: Share of the same verdicts.
        sensitivity: Share of people's 1 that the judge calls 1; None without any.
        specificity: Share of people's 0 that the judge calls 0; None without any.
        balanced_accuracy: Mean of the two; 0.5 is a coin, whatever the mix.
        auc: Chance that a good answer is scored above a bad one; needs no threshold.
        kappa: Cohen's kappa of the verdicts.
        threshold: Scores at or above it are 1.
    """

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    accuracy: Interval
    sensitivity: Interval | None
    specificity: Interval | None
    balanced_accuracy: Interval | None
    auc: Interval | None
    kappa: Interval | None
    threshold: float

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        names = ("accuracy", "sensitivity", "specificity", "balanced_accuracy", "auc", "kappa")
        intervals = {name: getattr(self, name) for name in names}
        return {
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "true_negatives": self.true_negatives,
            "false_negatives": self.false_negatives,
            "threshold": self.threshold,
            **{name: each.as_dict() if each else None for name, each in intervals.items()},
        }


def detection(
    human: Sequence[float],
    judge: Sequence[float],
    *,
    threshold: float = 0.5,
    level: float = 0.95,
) -> Detection:
    """Compare a judge's scores with people's verdicts.

    Source: shares with Wilson's interval; balanced accuracy by the square-and-add method of Zou and
    Donner 2008 over those two; AUC as in `auc`.

    Args:
        human: 0 or 1 for each item (at or above 0.5 is 1).
        judge: A score for each item, higher is better.
        threshold: Scores at or above it are 1.
        level: Confidence.

    Raises:
        UsageProblem: No items, or different numbers of them.
    """
    truth = as_values(human, "human verdicts") >= 0.5
    scores = as_values(judge, "judge's scores")
    if len(truth) != len(scores):
        raise UsageProblem("There must be one score for each human verdict")
    said = scores >= threshold
    hits, misses = int((truth & said).sum()), int((truth & ~said).sum())
    alarms, rests = int((~truth & said).sum()), int((~truth & ~said).sum())
    sensitivity = wilson(hits, hits + misses, level) if hits + misses else None
    specificity = wilson(rests, rests + alarms, level) if rests + alarms else None
    balanced = _mean_of(sensitivity, specificity) if sensitivity and specificity else None
    return Detection(
        true_positives=hits,
        false_positives=alarms,
        true_negatives=rests,
        false_negatives=misses,
        accuracy=wilson(hits + rests, len(truth), level),
        sensitivity=sensitivity,
        specificity=specificity,
        balanced_accuracy=balanced,
        auc=auc(scores[truth], scores[~truth], level=level) if balanced else None,
        kappa=cohen_kappa(
            truth.astype(int).tolist(), said.astype(int).tolist(), labels=(0, 1), level=level
        ),
        threshold=threshold,
    )


def auc(
    positives: Sequence[float] | Floats, negatives: Sequence[float] | Floats, level: float = 0.95
) -> Interval:
    """Return the area under the ROC curve: how often a positive is scored above a negative.

    Source: Mann and Whitney 1947, ties count half; interval: Newcombe 2006, part 2, method 5, which
    solves |A - estimate| = z sqrt(V(A)) with Hanley and McNeil's variance (1982), its group sizes
    put in balance. Unlike Wald's it is not empty at 1 and stays within 0..1.

    Raises:
        UsageProblem: One of the groups is empty.
    """
    check_level(level)
    good, bad = as_values(positives, "positives"), as_values(negatives, "negatives")
    ranks = average_ranks(np.concatenate((good, bad)))
    m, n = len(good), len(bad)
    estimate = float((ranks[:m].sum() - m * (m + 1) / 2) / (m * n))
    z = normal_quantile((1 + level) / 2)

    def reach(area: float) -> float:
        extra = (m + n) / 2 - 1
        part = 1 + extra * (1 - area) / (2 - area) + extra * area / (1 + area)
        return z * math.sqrt(max(area * (1 - area) * part / (m * n), 0.0))

    low = _solve(lambda area: estimate - area - reach(area), 0.0, estimate)
    high = _solve(lambda area: reach(area) - (area - estimate), estimate, 1.0)
    return Interval(estimate, low, high, level, m + n, "newcombe 5", m + n)


def average_ranks(values: Floats) -> Floats:
    """Return the rank (from 1) of each value; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse])


def _mean_of(one: Interval, other: Interval) -> Interval:
    estimate = (one.estimate + other.estimate) / 2
    below = math.hypot(one.estimate - one.low, other.estimate - other.low) / 2
    above = math.hypot(one.high - one.estimate, other.high - other.estimate) / 2
    n = one.n + other.n
    return Interval(
        estimate, max(0.0, estimate - below), min(1.0, estimate + above), one.level, n,
        "square-and-add", n,
    )  # fmt: skip


def _solve(gap: Any, low: float, high: float) -> float:
    """Return where a function that falls from above 0 to below it crosses 0."""
    for _ in range(60):
        middle = (low + high) / 2
        if gap(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2
