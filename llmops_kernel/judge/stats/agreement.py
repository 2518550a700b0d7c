"""How far two raters, or several, agree."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.intervals import RESAMPLES, Interval, check_level, wilson
from llmops_kernel.judge.stats.quantiles import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from llmops_kernel.judge.stats.groups import Floats


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    *,
    weights: Literal["quadratic"] | None = None,
    labels: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Interval | None:
    """Return Cohen's kappa of two raters; None where chance alone explains any agreement.

    Source: Cohen 1960, and 1968 with quadratic weights 1 - (i - j)^2 / (k - 1)^2; large-sample
    variance of Fleiss, Cohen and Everitt 1969. Where all pairs agree that variance is 0, and the
    lower bound comes from Wilson's bound of the agreement.

    Args:
        first: One rater's label of each item.
        second: The other's.
        weights: "quadratic" for labels in an order, such as 1 to 5.
        labels: All labels in their order; by default those that occur, sorted.
        level: Confidence.

    Returns:
        None when both raters give one and the same label throughout: kappa is not defined then.

    Raises:
        UsageProblem: No items, different numbers of them, or a label that is not in ``labels``.
    """
    check_level(level)
    if len(first) != len(second) or not first:
        raise UsageProblem("Agreement needs the same items from both raters, and one at least")
    found: set[Any] = {*first, *second}
    known: list[Any] = sorted(found) if labels is None else list(labels)
    place = {label: number for number, label in enumerate(known)}
    n, k = len(first), len(known)
    table = np.zeros((k, k))
    for one, other in zip(first, second, strict=True):
        if one not in place or other not in place:
            raise UsageProblem("A label is not among those named", detail=f"{one!r}, {other!r}")
        table[place[one], place[other]] += 1
    shares = table / n
    weight = _weights(k, weights)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    agreed = float((weight * shares).sum())
    chance = float((weight * np.outer(rows, columns)).sum())
    if 1 - chance < 1e-12:
        return None
    kappa = (agreed - chance) / (1 - chance)
    name = "kappa quadratic" if weights else "kappa"
    if 1 - agreed < 1e-12:
        low = (wilson(n, n, level).low - chance) / (1 - chance)
        return Interval(1.0, low, 1.0, level, n, name, n)
    # Each cell's weight, against the mean weights of its row and column.
    means = (weight @ columns)[:, None] + (weight.T @ rows)[None, :]
    spread = float((shares * (weight - means * (1 - kappa)) ** 2).sum())
    variance = (spread - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    half = normal_quantile((1 + level) / 2) * math.sqrt(max(variance, 0.0))
    return Interval(kappa, max(kappa - half, -1.0), min(kappa + half, 1.0), level, n, name, n)


def krippendorff_alpha(
    ratings: Sequence[Sequence[float | None]],
    *,
    scale: Literal["nominal", "ordinal", "interval"] = "nominal",
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Return Krippendorff's alpha of any number of raters, with a bootstrap interval over items.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability": 1 - D_o / D_e from the
    matrix of coincidences; an item with m ratings gives each of its pairs the weight 1 / (m - 1).
    The interval is the percentile bootstrap over items, with the expected disagreement drawn anew.

    Args:
        ratings: For each item what each rater said, None where one said nothing. Items with fewer
            than two ratings say nothing of agreement and are left out.
        scale: What differences mean: "nominal" labels, "ordinal" ranks or "interval" numbers.
        level: Confidence.
        resamples: How many.
        seed: The same seed gives the same interval.

    Returns:
        None where all ratings are the same, or no item has two.
    """
    check_level(level)
    items = [[value for value in item if value is not None] for item in ratings]
    items = [item for item in items if len(item) > 1]
    if not items:
        return None
    values = sorted({value for item in items for value in item})
    place = {value: number for number, value in enumerate(values)}
    coincidences = np.zeros((len(items), len(values), len(values)))
    for number, item in enumerate(items):
        counts = Counter(place[value] for value in item)
        for one, times in counts.items():
            for other, others in counts.items():
                pairs = times * (others - (one == other))
                coincidences[number, one, other] = pairs / (len(item) - 1)
    axis = np.asarray(values, dtype=np.float64)
    alpha = _alpha(coincidences.sum(axis=0), axis, scale)
    if alpha is None:
        return None
    draw = np.random.default_rng(seed)
    found: list[float] = []
    flat = coincidences.reshape(len(items), -1)
    for _ in range(resamples):
        chosen = draw.integers(0, len(items), len(items))
        drawn = np.bincount(chosen, minlength=len(items))
        again = _alpha((drawn @ flat).reshape(len(values), len(values)), axis, scale)
        if again is not None:
            found.append(again)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2]) if found else (alpha, alpha)
    name = f"alpha {scale}, bootstrap percentile"
    return Interval(alpha, float(low), float(high), level, len(items), name, len(items))


def _weights(k: int, weights: Literal["quadratic"] | None) -> Floats:
    if weights is None or k < 2:
        return np.eye(k)
    steps = np.arange(k, dtype=np.float64)
    return np.asarray(1 - (steps[:, None] - steps[None, :]) ** 2 / (k - 1) ** 2)


def _alpha(table: Floats, values: Floats, scale: str) -> float | None:
    totals = table.sum(axis=1)
    n = float(totals.sum())
    distance = _distances(values, totals, scale)
    expected = float((np.outer(totals, totals) * distance).sum()) / (n - 1)
    if expected <= 0:
        return None
    return 1 - float((table * distance).sum()) / expected


def _distances(values: Floats, totals: Floats, scale: str) -> Floats:
    if scale == "nominal":
        return np.asarray(values[:, None] != values[None, :], dtype=np.float64)
    if scale == "ordinal":
        # The distance of two ranks is the ratings between them, with half of those at the ends.
        ranks = np.cumsum(totals) - totals / 2
        return np.asarray((ranks[:, None] - ranks[None, :]) ** 2)
    return np.asarray((values[:, None] - values[None, :]) ** 2)
