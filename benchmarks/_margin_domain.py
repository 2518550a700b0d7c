"""The margin tier in a closed domain with 20 wordings for each answer.

Half of the lookups are judged and calibrate it, the other half measures it. Banking77's intents
stand for answers: in the domain played here every question of an intent has one answer. Bitext's
answers are intent and entity; the same words with another entity are among its lookups.
"""

from __future__ import annotations

import random
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.cache.semantic.eligibility import eligible_text
from llmops_kernel.cache.semantic.evidence import wilson
from llmops_kernel.cache.semantic.gates import Gate
from llmops_kernel.cache.semantic.margin import MarginTier
from llmops_kernel.cache.semantic.partition import Partition
from llmops_kernel.cache.semantic.verbatim import signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _streams import Asked, Embed

WORDINGS = 20
_NEAREST = 40  # entries whose gates are looked at
_JUDGED_FROM = 0.6  # cosine from which a lookup is judged at all, as in the path of a call


def measure_domain(
    questions: Sequence[Asked],
    answer: str,
    embed: Embed,
    *,
    seed: int,
    target: float = 0.02,
    unseen: int = 0,
    near: Sequence[Asked] = (),
    gates: str = "nearest",
) -> dict[str, Any]:
    """Fill, calibrate on one half, measure on the other.

    Args:
        questions: The domain's.
        answer: Which attribute names a question's answer: ``about`` or ``key``.
        embed: Makes vectors.
        seed: Of the draw.
        target: Bound on errors per hit.
        unseen: So many answers are asked for and never cached.
        near: Near misses, among the lookups of both halves.
        gates: ``nearest``: the nearest entry must pass them, as in the path of a call; ``group``:
            some near entry of the group that wins must.
    """
    rng = random.Random(seed)
    cached, lookups = _drawn(questions, answer, unseen, rng)
    lookups += near
    rng.shuffle(lookups)
    half = len(lookups) // 2
    partition = filled([each.text for each in cached], embed,
                       [getattr(each, answer) for each in cached])  # fmt: skip
    known = {getattr(each, answer) for each in cached}
    vectors = embed([each.text for each in cached])
    tier = MarginTier(target=target)
    hits = wrong = could = refused = 0
    asked = embed([each.text for each in lookups])
    for number, (each, vector) in enumerate(zip(lookups, asked, strict=True)):
        found = partition.standing(vector)
        name = partition.group_name(found.group)
        fits = name == getattr(each, answer)
        order = [found.entry]
        if gates == "group":
            near_ones = np.argsort(-(vectors @ vector))[:_NEAREST]
            order = [n for n in near_ones if getattr(cached[n], answer) == name]
        gate = gate_of(each.text)
        passed = _allowed(each.text) and any(not gate.veto(partition.gate(n)) for n in order)
        if number < half:
            if passed and found.best >= _JUDGED_FROM:
                tier.learn(found.score, fits)
            continue
        could += getattr(each, answer) in known
        refused += not passed
        if passed and tier.serves(found):
            hits += 1
            wrong += not fits
    share = wilson(wrong, hits)
    return {
        "entries": len(cached), "answers": len(known), "judged": tier.judged,
        "state": str(tier.state), "lookups": len(lookups) - half, "hits": hits, "wrong": wrong,
        "err_per_hit": share.value, "low": share.low, "high": share.high,
        "recall": (hits - wrong) / could if could else None, "vetoed": refused,
    }  # fmt: skip


def _drawn(
    questions: Sequence[Asked], answer: str, unseen: int, rng: random.Random
) -> tuple[list[Asked], list[Asked]]:
    """Return what is cached and what is asked; the first `unseen` answers are never cached."""
    groups: defaultdict[str, list[Asked]] = defaultdict(list)
    for each in questions:
        groups[getattr(each, answer)].append(each)
    names = sorted(name for name, found in groups.items() if len(found) > WORDINGS)
    rng.shuffle(names)
    cached: list[Asked] = []
    lookups: list[Asked] = []
    for number, name in enumerate(names):
        found = rng.sample(groups[name], len(groups[name]))
        found = [each for each in found if _allowed(each.text)] + [
            each for each in found if not _allowed(each.text)
        ]
        kept = WORDINGS if number >= unseen else 0
        cached += found[:kept]
        lookups += found[kept:]
    return cached, lookups


def filled(texts: Sequence[str], embed: Embed, groups: Sequence[str]) -> Partition:
    """Return the texts as the margin tier keeps them."""
    vectors = embed(texts)
    partition = Partition(vectors.shape[1])
    for number, (text, vector, group) in enumerate(zip(texts, vectors, groups, strict=True)):
        partition.add(str(number), vector, group=group, answer=group, gate=gate_of(text))
    return partition


@cache
def gate_of(text: str) -> Gate:
    """Return what must agree with another text."""
    return Gate.of(signature(text))


@cache
def _allowed(text: str) -> bool:
    return eligible_text(text).ok
