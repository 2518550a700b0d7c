"""Training rows and evaluation rows that have nothing in common."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.data.alike import Alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.finetune.data.rows import Row

# From here on, a question in the evaluation rows would be known from the training rows.
LEAKS = 0.8


def split(rows: Sequence[Row], fraction: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Split rows so that no question of one side is nearly repeated on the other.

    Rows of one group, and rows with nearly the same question (transitively), stay together. The
    same rows and seed give the same split, in any order of groups; each side keeps its order.

    Args:
        rows: The rows.
        fraction: Share for evaluation, at most (0 for none).
        seed: Seed of the draw.

    Raises:
        UsageProblem: No row can go to one of the sides.
    """
    if not fraction:
        return list(rows), []
    clusters = _clusters(rows)
    order = sorted(clusters)
    random.Random(seed).shuffle(order)  # noqa: S311  # a draw, no secret
    target = max(1, round(fraction * len(rows)))
    chosen: set[int] = set()
    for name in order:
        if len(chosen) + len(clusters[name]) <= target:
            chosen.update(clusters[name])
        if len(chosen) == target:
            break
    if not chosen and len(order) > 1:
        smallest = min(order, key=lambda name: len(clusters[name]))
        chosen.update(clusters[smallest])
    if not chosen or len(chosen) == len(rows):
        raise UsageProblem(
            "No row is left for evaluation: all rows are alike or of one group",
            detail=f"{len(rows)} rows in {len(order)} groups",
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


def _clusters(rows: Sequence[Row]) -> dict[int, list[int]]:
    """Return places by cluster; a cluster is named by its first place."""
    parent = list(range(len(rows)))

    def top(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    def join(one: int, other: int) -> None:
        low, high = sorted((top(one), top(other)))
        parent[high] = low

    alike = Alike([row.question for row in rows], LEAKS)
    groups: dict[str, int] = {}
    for place, row in enumerate(rows):
        for other in alike.near(place):
            join(place, other)
        alike.add(place)
        if row.group:
            join(place, groups.setdefault(row.group, place))
    clusters: dict[int, list[int]] = {}
    for place in range(len(rows)):
        clusters.setdefault(top(place), []).append(place)
    return clusters
