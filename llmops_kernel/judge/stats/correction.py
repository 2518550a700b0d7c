"""What people would have said on average, from a judge's scores and a few labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.stats.groups import as_values, cluster_numbers, mean_variance
from llmops_kernel.judge.stats.intervals import Interval, check_level
from llmops_kernel.judge.stats.quantiles import normal_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.stats.groups import Floats

# Below this sum a judge tells so little that dividing by it (minus 1) makes noise, not knowledge.
MIN_YOUDEN = 1.2


def ppi_mean(
    human: Sequence[float] | Floats,
    judge_labelled: Sequence[float] | Floats,
    judge_unlabelled: Sequence[float] | Floats,
    *,
    tune: bool = True,
    clusters_labelled: Sequence[str] | None = None,
    clusters_unlabelled: Sequence[str] | None = None,
    level: float = 0.95,
) -> Interval:
    """Return the mean human score of all samples by prediction-powered inference.

    Source: Angelopoulos et al. 2023 (arXiv 2301.09633): mean(judge, unlabelled) + mean(human -
    judge, labelled), variance var(judge) / N + var(human - judge) / n; PPI++ (arXiv 2311.01453):
    the judge counts lambda = cov(human, judge) / ((1 + n / N) var(judge)), within 0..1, so that a
    useless judge is not worse than none. It is unbiased however biased the judge is, as long as
    the labelled samples were drawn like the others. The quantile is Student's, with degrees of
    freedom after Satterthwaite 1946: the normal one is too short for 30 labels.

    Args:
        human: What people said of the labelled samples.
        judge_labelled: What the judge said of the same samples.
        judge_unlabelled: What the judge said of the other samples; none of the labelled.
        tune: PPI++; else plain PPI, with lambda 1.
        clusters_labelled: The cluster of each labelled sample, "" for none.
        clusters_unlabelled: The cluster of each other sample.
        level: Confidence.

    Raises:
        UsageProblem: Fewer than two labelled or unlabelled samples, or numbers that do not match.
    """
    check_level(level)
    truth, seen = as_values(human, "human scores"), as_values(judge_labelled, "judge's scores")
    rest = as_values(judge_unlabelled, "unlabelled scores")
    if len(truth) != len(seen):
        raise UsageProblem("There must be one judge's score for each human score")
    n, others = len(truth), len(rest)
    if n < 2 or others < 2:
        raise UsageProblem("A correction needs two labelled and two unlabelled samples at least")
    weight = _lambda(truth, seen, rest) if tune else 1.0
    estimate = weight * float(rest.mean()) + float((truth - weight * seen).mean())
    bias_variance, groups = mean_variance(
        truth - weight * seen, cluster_numbers(clusters_labelled, n)
    )
    judge_variance, judge_groups = mean_variance(
        weight * rest, cluster_numbers(clusters_unlabelled, others)
    )
    variance = bias_variance + judge_variance
    half = 0.0
    if not math.isfinite(variance):
        half = math.inf
    elif variance > 0:
        spent = 1 if tune else 0  # lambda was estimated from the same labels
        df = variance**2 / (
            bias_variance**2 / max(groups - 1 - spent, 1) + judge_variance**2 / (judge_groups - 1)
        )
        half = t_quantile((1 + level) / 2, df) * math.sqrt(variance)
    name = f"ppi++ lambda {weight:.3f}" if tune else "ppi"
    return Interval(estimate, estimate - half, estimate + half, level, n, name, groups)


def rogan_gladen(
    positives: float,
    n: float,
    *,
    true_positives: int,
    false_negatives: int,
    true_negatives: int,
    false_positives: int,
    level: float = 0.95,
) -> Interval:
    """Return the true share of positives from a judge's share and its error rates.

    Source: Rogan and Gladen 1978: (p + spec - 1) / (sens + spec - 1), within 0..1; interval: Lang
    and Reiczigel 2014, as in arXiv 2511.21140: all three shares are shrunk (p by z^2 / 2 of z^2,
    the others by 1 of 2), their estimate is shifted by 2 z^2 (P Vsens - (1 - P) Vspec), and the
    delta method gives its error. Unlike PPI it needs no labels of this sample's own mix of classes.

    Args:
        positives: Samples that the judge calls positive.
        n: Samples that were judged.
        true_positives: Labelled positives that the judge calls positive.
        false_negatives: Labelled positives that it calls negative.
        true_negatives: Labelled negatives that it calls negative.
        false_positives: Labelled negatives that it calls positive.
        level: Confidence.

    Raises:
        UsageProblem: Labels of one class are missing, or sensitivity and specificity add up to less
            than 1.2.
    """
    check_level(level)
    sick, well = true_positives + false_negatives, true_negatives + false_positives
    if n <= 0 or not 0 <= positives <= n:
        raise UsageProblem("A share needs trials, and no more successes than trials")
    if not sick or not well:
        raise UsageProblem(
            "Correcting a share needs labels of both classes", hint="Label more samples"
        )
    sens, spec = true_positives / sick, true_negatives / well
    if sens + spec < MIN_YOUDEN:
        raise UsageProblem(
            "The judge tells too little to correct its share",
            detail=f"sensitivity {sens:.2f}, specificity {spec:.2f}",
            hint=f"They must add up to {MIN_YOUDEN} at least; use the PPI mean, or another judge",
        )
    estimate = min(max((positives / n + spec - 1) / (sens + spec - 1), 0.0), 1.0)
    z = normal_quantile((1 + level) / 2)
    share, sens, spec = (
        (positives + z * z / 2) / (n + z * z),
        (true_positives + 1) / (sick + 2),
        (true_negatives + 1) / (well + 2),
    )
    gain = sens + spec - 1
    middle = (share + spec - 1) / gain
    sens_variance = sens * (1 - sens) / (sick + 2)
    spec_variance = spec * (1 - spec) / (well + 2)
    shift = 2 * z * z * (middle * sens_variance - (1 - middle) * spec_variance)
    error = math.sqrt(
        share * (1 - share) / (n + z * z)
        + middle**2 * sens_variance
        + (1 - middle) ** 2 * spec_variance
    ) / abs(gain)
    low, high = middle + shift - z * error, middle + shift + z * error
    count = int(n)
    return Interval(
        estimate, min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0), level, count,
        "rogan-gladen, lang-reiczigel", count,
    )  # fmt: skip


def _lambda(truth: Floats, seen: Floats, rest: Floats) -> float:
    spread = float(np.concatenate((seen, rest)).var(ddof=1))
    if spread <= 0:
        return 0.0
    shared = float(((truth - truth.mean()) * (seen - seen.mean())).sum()) / (len(truth) - 1)
    return min(max(shared / ((1 + len(truth) / len(rest)) * spread), 0.0), 1.0)
