"""Is a small router worth it? Coverage against errors, and from how many messages on it pays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.labs.intents import Guess

RESAMPLES = 2_000


@dataclass(frozen=True, slots=True)
class Point:
    """What happens at one threshold of confidence.

    Attributes:
        threshold: Guesses at least as confident are taken; the others go to the large model.
        coverage: Share of messages that the small one answers.
        wrong: Share of *all* messages that it answers wrongly.
        precision: Share of its answers that are right; None where it answers nothing.
    """

    threshold: float
    coverage: float
    wrong: float
    precision: float | None


@dataclass(frozen=True, slots=True)
class Costs:
    """What things cost, in dollars.

    Attributes:
        fixed: Once: labels, paraphrases, training.
        large: A message classified by the large model.
        small: A message classified by the small one.
        error: A message that ends in the wrong queue.
        large_errors: Share of messages that the large model gets wrong.
    """

    fixed: float
    large: float
    small: float = 0.0
    error: float = 0.0
    large_errors: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be (raises `UsageProblem`)."""
        values = (self.fixed, self.large, self.small, self.error, self.large_errors)
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise UsageProblem("Costs and shares are numbers from 0 on")


@dataclass(frozen=True, slots=True)
class BreakEven:
    """From how many messages on a router pays.

    Attributes:
        messages: The estimate; infinite when each message costs more than before.
        low: Lower bound (95 %).
        high: Upper bound; infinite when losing cannot be ruled out.
        saving: Dollars saved per message.
        never: Share of resamples in which it never pays.
    """

    messages: float
    low: float
    high: float
    saving: float
    never: float


def curve(guesses: Sequence[Guess], thresholds: Sequence[float]) -> list[Point]:
    """Return coverage and errors at each threshold.

    Raises:
        UsageProblem: There are no guesses.
    """
    if not guesses:
        raise UsageProblem("There are no guesses to look at")
    found = []
    for threshold in thresholds:
        taken = [each for each in guesses if each.confidence >= threshold]
        right = sum(each.right for each in taken)
        found.append(
            Point(
                threshold,
                len(taken) / len(guesses),
                (len(taken) - right) / len(guesses),
                right / len(taken) if taken else None,
            )
        )
    return found


def threshold_for(guesses: Sequence[Guess], precision: float) -> float:
    """Return the lowest threshold at which so large a share of what is answered is right.

    Choose it on messages of their own: on those it is then judged by, it looks better than it is.

    Returns:
        The threshold; above 1 where none reaches it, so that nothing is answered.
    """
    ordered = sorted(guesses, key=lambda each: -each.confidence)
    chosen, right = 1.01, 0
    for place, each in enumerate(ordered, 1):
        right += each.right
        last = place == len(ordered) or ordered[place].confidence < each.confidence
        if last and right / place >= precision:
            chosen = each.confidence
    return chosen


def break_even(
    guesses: Sequence[Guess],
    threshold: float,
    costs: Costs,
    *,
    seed: int = 7,
    resamples: int = RESAMPLES,
) -> BreakEven:
    """Return from how many messages on a confidence-gated router pays, with an interval.

    Each message saves ``taken (large - small) + error (large_errors taken - wrong)`` dollars; the
    fixed cost divided by that mean is the break-even volume. The interval is a percentile bootstrap
    over *phrasings*, because messages of one phrasing stand and fall together.

    Args:
        guesses: On messages like those to come, which neither trained nor chose the threshold.
        threshold: Of confidence.
        costs: What things cost.
        seed: Of the resampling.
        resamples: How many.

    Raises:
        UsageProblem: There are no guesses.
    """
    groups: dict[str, list[float]] = {}
    for each in guesses:
        groups.setdefault(each.phrasing, []).append(_saved(each, threshold, costs))
    sums = [(sum(values), len(values)) for values in groups.values()]
    if not sums:
        raise UsageProblem("There are no guesses to look at")
    random = Random(seed)  # noqa: S311 - no secret
    drawn = []
    for _ in range(resamples):
        chosen = random.choices(sums, k=len(sums))
        drawn.append(sum(total for total, _ in chosen) / sum(count for _, count in chosen))
    drawn.sort()
    saving = sum(total for total, _ in sums) / sum(count for _, count in sums)
    edge = round(0.025 * resamples)
    return BreakEven(
        _volume(costs.fixed, saving),
        _volume(costs.fixed, drawn[-edge - 1]),
        _volume(costs.fixed, drawn[edge]),
        saving,
        sum(value <= 0 for value in drawn) / resamples,
    )


def _saved(guess: Guess, threshold: float, costs: Costs) -> float:
    if guess.confidence < threshold:
        return -costs.small  # the small one was asked as well
    wrong = costs.error * (0.0 if guess.right else 1.0)
    return costs.large - costs.small + costs.error * costs.large_errors - wrong


def _volume(fixed: float, saving: float) -> float:
    return fixed / saving if saving > 0 else math.inf
