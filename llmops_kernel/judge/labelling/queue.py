"""Which items are labelled, in which order."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.labelling.items import Choice, Item, Order, choices_of, item_of
from llmops_kernel.judge.labelling.pairs import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.samples import Sample

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Queue:
    """Items in the order in which they are shown.

    Attributes:
        metric: What is labelled.
        items: A pair stands here twice, once in each order.
        choices: What a rater may say.
        stratified: Whether scores of a judge were known and the items are spread over them.
        population: Samples that could have been chosen.
    """

    metric: str
    items: tuple[Item, ...]
    choices: tuple[Choice, ...]
    stratified: bool = False
    population: int = 0

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    @property
    def pairs(self) -> bool:
        """Whether two answers are shown."""
        return bool(self.items) and bool(self.items[0].order)

    def choice(self, key: str) -> Choice:
        """Return the choice of a key.

        Raises:
            UsageProblem: There is none.
        """
        for each in self.choices:
            if key in (each.key, each.label):
                return each
        raise UsageProblem(
            "This is not one of the choices",
            detail=repr(key),
            hint=", ".join(f"{each.key}: {each.label}" for each in self.choices),
        )


def make_queue(
    samples: Sequence[Sample],
    metric: str,
    *,
    n: int = 30,
    scores: Mapping[str, float] | None = None,
    grades: int = 0,
    pairs: bool = False,
    seed: int = 0,
) -> Queue:
    """Choose what is labelled.

    Each sample is as likely to be chosen as any other, because a corrected mean rests on labelled
    samples that were drawn like the rest. Where a judge's scores are known, the chosen ones are
    spread evenly over them, and so hold its low and high scores in the set's own proportion. A
    larger ``n`` goes on where a smaller one ended. The order in which items are shown is random
    and tells nothing of the scores.

    Pairs (`paired` makes them) are shown twice: all of them in one order, drawn for each, and then
    all in the other.

    Args:
        samples: The set.
        metric: What is labelled; "pairwise" for pairs.
        n: How many samples; all, where there are fewer.
        scores: A judge's score by sample id, where it is known.
        grades: Levels of a rubric; 0 for yes or no.
        pairs: Show ``response_b`` beside the answer, and ask which is better.
        seed: The same seed gives the same queue.

    Raises:
        UsageProblem: ``n`` or ``grades`` cannot be, or no sample has an answer.
    """
    if n < 1:
        raise UsageProblem("At least one sample must be labelled", hint="--n 30")
    if not metric.strip():
        raise UsageProblem("A label needs a metric", hint="--metric faithfulness")
    usable = [each for each in samples if each.response.strip()]
    if not usable:
        raise UsageProblem("There is no answer to label", hint="Samples need a response")
    if pairs and not all(OTHER in each.extra for each in usable):
        raise UsageProblem("A pair needs two answers", hint="Samples need response_b: see paired()")
    choices = choices_of(pairs=pairs, grades=grades)
    ids = {each.id for each in usable}
    known = {name: score for name, score in (scores or {}).items() if name in ids}
    draw = random.Random(f"{seed}/{metric}")  # noqa: S311 - chooses samples, hides nothing
    chosen = _spread(usable, known, min(n, len(usable)), draw)
    draw.shuffle(chosen)
    items = (
        _both_orders(chosen, draw, seed) if pairs else [item_of(each, seed=seed) for each in chosen]
    )
    return Queue(metric, tuple(items), choices, bool(known), len(usable))


def _spread(
    samples: Sequence[Sample], scores: Mapping[str, float], n: int, draw: random.Random
) -> list[Sample]:
    """Return n samples, evenly spread over the scores; equal scores stand in random order.

    The places are the fractional parts of u + i times the golden ratio, u drawn at random: any
    first n of them lie evenly (Kronecker's sequence), and each place is as likely as any other.
    """
    line = sorted(samples, key=lambda each: each.id)
    draw.shuffle(line)
    line.sort(key=lambda each: scores.get(each.id, math.inf))
    start = draw.random()
    free = list(range(len(line)))
    found = []
    for number in range(n):
        place = int((start + number * _GOLDEN) % 1 * len(line))
        nearest = min(range(len(free)), key=lambda at: abs(free[at] - place))
        found.append(line[free.pop(nearest)])
    return found


def _both_orders(chosen: Sequence[Sample], draw: random.Random, seed: int) -> list[Item]:
    first: list[tuple[Sample, Order]] = [
        (each, "ab" if draw.random() < 0.5 else "ba") for each in chosen
    ]
    second: list[tuple[Sample, Order]] = [
        (each, "ba" if order == "ab" else "ab") for each, order in first
    ]
    draw.shuffle(second)
    return [item_of(each, order, seed=seed) for each, order in (*first, *second)]
