"""Where a judge leans: to long answers, to the one that stands first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.judge.stats.detection import average_ranks
from llmops_kernel.judge.stats.intervals import Interval, mean_interval, wilson
from llmops_kernel.judge.stats.paired import mcnemar
from llmops_kernel.judge.stats.quantiles import normal_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.groups import Floats

# Lengths whose ratio is at most this are alike.
ALIKE = 1.2
_FEWEST = 4
_TIE = 0.5


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Whether a judge's scores follow the length of answers.

    Attributes:
        correlation: Spearman's, of score and length. Good answers may be longer: this alone is no
            bias. None without spread.
        error_correlation: Spearman's, of (judge - human) and length, over labelled samples: above
            0, the judge likes long answers more than people do.
        separation: How often a good answer is scored above a bad one (AUC), by people's labels.
        matched: The same over good and bad answers of about the same length (a fifth apart at
            most): if it is much lower, the judge goes by length.
        matched_pairs: Pairs it rests on.
    """

    correlation: Interval | None = None
    error_correlation: Interval | None = None
    separation: float | None = None
    matched: float | None = None
    matched_pairs: int = 0


@dataclass(frozen=True, slots=True)
class PairLengthBias:
    """Whether the longer answer of a pair wins.

    Attributes:
        longer_wins: Share of decided pairs that the longer answer wins.
        mean: The mean over all pairs: 1 where the sample's own answer wins.
        matched: The same over pairs of about the same length (a fifth apart at most).
        matched_pairs: How many these are.
    """

    longer_wins: Interval | None
    mean: Interval
    matched: Interval | None
    matched_pairs: int


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Whether the order of a pair decides.

    Attributes:
        pairs: Pairs that were judged in both orders.
        consistent: Share with the same verdict in both.
        first: Pairs where the one that stands first won both times.
        second: Pairs where the one that stands second did.
        p: Exact two-sided p-value of the hypothesis that neither place is preferred.
    """

    pairs: int
    consistent: Interval
    first: int
    second: int
    p: float


def length_bias(
    values: Sequence[float],
    lengths: Sequence[float],
    human: Sequence[float | None] | None = None,
    *,
    level: float = 0.95,
) -> LengthBias | None:
    """Return how a judge's scores and errors go with length; None for fewer than four answers.

    Source: Spearman's correlation with Fisher's z and the variance 1.06 / (n - 3) of Fieller,
    Hartley and Pearson 1957.

    Args:
        values: The judge's scores.
        lengths: Length of each answer, in characters.
        human: What people said of each; None where nobody did.
        level: Confidence.
    """
    seen, long = np.asarray(values, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    if len(seen) < _FEWEST:
        return None
    found = LengthBias(_spearman(seen, long, level))
    said = [(at, value) for at, value in enumerate(human or ()) if value is not None]
    if len(said) < _FEWEST:
        return found
    places = np.array([at for at, _ in said])
    truth = np.array([value for _, value in said])
    error = _spearman(seen[places] - truth, long[places], level)
    good, bad = places[truth >= _TIE], places[truth < _TIE]
    if not good.size or not bad.size:
        return LengthBias(found.correlation, error)
    wins = np.sign(seen[good][:, None] - seen[bad][None, :]) / 2 + _TIE
    ratio = np.abs(np.log1p(long[good])[:, None] - np.log1p(long[bad])[None, :])
    alike = ratio <= math.log(ALIKE)
    return LengthBias(
        found.correlation,
        error,
        separation=float(wins.mean()),
        matched=float(wins[alike].mean()) if alike.any() else None,
        matched_pairs=int(alike.sum()),
    )


def pair_length_bias(
    values: Sequence[float],
    lengths: Sequence[float],
    other_lengths: Sequence[float],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> PairLengthBias | None:
    """Return whether longer answers win pairs; None without a pair.

    Args:
        values: 1 where the sample's own answer wins, 0 where the other one does, 0.5 for a tie.
        lengths: Length of the sample's own answers.
        other_lengths: Length of the other ones.
        level: Confidence.
        seed: Draws the bootstrap.
    """
    if not values:
        return None
    seen = np.asarray(values, dtype=np.float64)
    own, other = np.asarray(lengths, dtype=np.float64), np.asarray(other_lengths, dtype=np.float64)
    decided = (seen != _TIE) & (own != other)
    longer = ((own > other) == (seen > _TIE))[decided]
    alike = np.abs(np.log1p(own) - np.log1p(other)) <= math.log(ALIKE)
    return PairLengthBias(
        longer_wins=wilson(int(longer.sum()), longer.size, level) if longer.size else None,
        mean=mean_interval(seen, level=level, seed=seed),
        matched=mean_interval(seen[alike], level=level, seed=seed) if alike.any() else None,
        matched_pairs=int(alike.sum()),
    )


def position_bias(scores: Iterable[Score], *, level: float = 0.95) -> PositionBias | None:
    """Return how often both orders agreed, from the scores of `pairwise`; None without any."""
    said = [each.detail for each in scores if each.value is not None]
    both = [(each["forward"], each["backward"]) for each in said if "forward" in each]
    if not both:
        return None
    same = sum(forward == backward for forward, backward in both)
    first = sum(forward > backward for forward, backward in both)
    second = sum(forward < backward for forward, backward in both)
    return PositionBias(
        len(both), wilson(same, len(both), level), first, second, mcnemar(first, second)
    )


def _spearman(one: Floats, other: Floats, level: float) -> Interval | None:
    n = len(one)
    if n < _FEWEST or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    rho = float(np.corrcoef(average_ranks(one), average_ranks(other))[0, 1])
    middle = math.atanh(min(max(rho, -0.999999), 0.999999))
    half = normal_quantile((1 + level) / 2) * math.sqrt(1.06 / (n - 3))
    low, high = math.tanh(middle - half), math.tanh(middle + half)
    return Interval(rho, low, high, level, n, "spearman", n)
