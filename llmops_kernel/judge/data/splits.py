"""Parts of a data set that share no document."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.judge.samples import Sample


def split(
    samples: Iterable[Sample], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, list[Sample]]:
    """Return samples by the part they fall into; a cluster is never torn apart.

    Questions of one document resemble each other: with some of them in each part, a prompt that
    was tuned on one part would look better on the other than it is.

    Args:
        samples: The set. A sample without a cluster is one of its own.
        fractions: Share of each part by name; they add up to 1. Sizes come as close to them as
            the clusters allow.
        seed: The same seed, samples and fractions give the same parts, in whatever order the
            samples are.

    Returns:
        Every part, in the order of ``fractions``, its samples in their own order with ``split``
        set. A part may be empty where there are fewer clusters than parts.

    Raises:
        UsageProblem: The fractions do not add up to 1.
    """
    if not fractions or any(not 0 <= share <= 1 for share in fractions.values()):
        raise UsageProblem(
            "The fractions must lie between 0 and 1", hint='{"dev": 0.5, "test": 0.5}'
        )
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise UsageProblem("The fractions must add up to 1", detail=str(sum(fractions.values())))
    rows = list(samples)
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in rows:
        key = ("cluster", sample.cluster) if sample.cluster else ("alone", sample.id)
        groups.setdefault(key, []).append(sample)
    # Large clusters first: the small ones that follow even out what those left uneven.
    order = sorted(groups, key=lambda key: (-len(groups[key]), _drawn(seed, key)))
    room = {name: share * len(rows) for name, share in fractions.items()}
    part_of: dict[tuple[str, str], str] = {}
    for key in order:
        chosen = max(room, key=lambda name: (room[name], _drawn(seed, (*key, name))))
        part_of[key] = chosen
        room[chosen] -= len(groups[key])
    parts: dict[str, list[Sample]] = {name: [] for name in fractions}
    for sample in rows:
        key = ("cluster", sample.cluster) if sample.cluster else ("alone", sample.id)
        parts[part_of[key]].append(replace(sample, split=part_of[key]))
    return parts


def _drawn(seed: int, key: tuple[str, ...]) -> bytes:
    text = repr((seed, *key))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()
