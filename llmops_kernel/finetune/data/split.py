"""Training rows and evaluation rows that have nothing in common."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.data.alike import Alike
from llmops_kernel.finetune.data.copies import Copies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.finetune.data.rows import Row

# From here on, a question in the evaluation rows would be known from the training rows.
LEAKS = 0.8
# The most of all rows that a cluster of near copies may take to the evaluation.
_LARGEST = 1 / 3

Clusters = dict[int, list[int]]


def split(rows: Sequence[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split rows so that no question of one side is nearly repeated on the other.

    Rows of one group, and rows with nearly the same question (transitively), stay together. Without
    groups so do near copies (`Copies`), unless these are so many that nothing fit to evaluate on
    is left; `near_copies` tells. The same rows and seed give the same split, in any order of
    groups; each side keeps its order.

    Args:
        rows: The rows.
        fraction: Share for evaluation, at most (0 for none).
        seed: Seed of the draw.

    Raises:
        UsageProblem: No row can go to one of the sides.
    """
    if not fraction:
        return list(rows), []
    target = max(1, round(fraction * len(rows)))
    parent = _alike(rows)
    chosen: set[int] = set()
    if not any(row.group for row in rows):
        chosen = _of_kinds(rows, _clusters(_with_copies(rows, parent)), target, seed)
    if not chosen:
        clusters = _clusters(parent)
        chosen = _drawn(clusters, target, seed)
        if not chosen and len(clusters) > 1:
            chosen.update(sorted(_shuffled(clusters, seed), key=len)[0])
        if not chosen or len(chosen) == len(rows):
            raise UsageProblem(
                "No row is left for evaluation: all rows are alike or of one group",
                detail=f"{len(rows)} rows in {len(clusters)} groups",
                hint="Give more varied rows, data.eval_path, or data.eval_fraction: 0",
            )
    train = [row for place, row in enumerate(rows) if place not in chosen]
    return train, [row for place, row in enumerate(rows) if place in chosen]


def without_leaks(train: Sequence[Row], held_out: Sequence[Row]) -> tuple[list[Row], int]:
    """Return the training rows whose questions are not in the evaluation rows, and how many were.

    For evaluation rows that a person gave: these stay as they are.
    """
    alike = Alike([row.question for row in [*held_out, *train]], LEAKS)
    for place in range(len(held_out)):
        alike.add(place)
    groups = {row.group for row in held_out if row.group}
    kept = [
        row
        for place, row in enumerate(train, start=len(held_out))
        if next(alike.near(place), None) is None and (not row.group or row.group not in groups)
    ]
    return kept, len(train) - len(kept)


def _shuffled(clusters: Clusters, seed: int) -> list[list[int]]:
    order = sorted(clusters)
    random.Random(seed).shuffle(order)  # noqa: S311  # a draw, no secret
    return [clusters[name] for name in order]


def _drawn(clusters: Clusters, target: int, seed: int) -> set[int]:
    """Return places of whole clusters, as many as fit into the target."""
    chosen: set[int] = set()
    for places in _shuffled(clusters, seed):
        if len(chosen) + len(places) <= target:
            chosen.update(places)
        if len(chosen) == target:
            break
    return chosen


def _of_kinds(rows: Sequence[Row], clusters: Clusters, target: int, seed: int) -> set[int]:
    """Return places of whole clusters of near copies; none where no fit ones are.

    A class is never taken whole: nobody can learn what is only in the evaluation. Where what fits
    the target is little, because templates are larger, the smallest of these are taken too.
    """
    left = Counter(row.label for row in rows if row.label)
    chosen: set[int] = set()

    def take(places: list[int]) -> bool:
        asked = Counter(rows[place].label for place in places if rows[place].label)
        if any(left[label] <= number for label, number in asked.items()):
            return False
        left.subtract(asked)
        chosen.update(places)
        return True

    order = _shuffled(clusters, seed)
    larger = [places for places in order if len(chosen) + len(places) > target or not take(places)]
    for places in sorted(larger, key=len):
        if 2 * len(chosen) >= target:
            break
        if len(chosen) + len(places) <= max(target, _LARGEST * len(rows)):
            take(places)
    return chosen


def _top(parent: list[int], place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


def _join(parent: list[int], one: int, other: int) -> None:
    low, high = sorted((_top(parent, one), _top(parent, other)))
    parent[high] = low


def _alike(rows: Sequence[Row]) -> list[int]:
    """Return for each place another of its group, or with nearly the same question."""
    parent = list(range(len(rows)))
    alike = Alike([row.question for row in rows], LEAKS)
    groups: dict[str, int] = {}
    for place, row in enumerate(rows):
        for other in alike.near(place):
            _join(parent, place, other)
        alike.add(place)
        if row.group:
            _join(parent, place, groups.setdefault(row.group, place))
    return parent


def _with_copies(rows: Sequence[Row], parent: list[int]) -> list[int]:
    """Return the same with near copies joined."""
    joined, copies = list(parent), Copies(rows)
    for place in range(len(rows)):
        for other in copies.add(place):
            _join(joined, place, other)
    return joined


def _clusters(parent: list[int]) -> Clusters:
    """Return places by cluster; a cluster is named by its first place."""
    clusters: Clusters = {}
    for place in range(len(parent)):
        clusters.setdefault(_top(parent, place), []).append(place)
    return clusters
