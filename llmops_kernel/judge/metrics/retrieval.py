"""Retrieval by ids: exact where the gold ids are known, without a call.

Gains are 0 and 1 and a repeated id earns nothing, as in the evaluation of an index
(`llmops_kernel.rag.evaluate`), which works on character spans instead of ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.metrics.base import Ask, Finding, Metric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.samples import Sample

KINDS = ("recall", "precision", "hit", "mrr", "ndcg")


@dataclass(frozen=True)
class IdRetrieval(Metric):
    """One of ``recall@k``, ``precision@k``, ``hit@k``, ``mrr@k`` and ``ndcg@k``.

    Attributes:
        kind: Which.
        k: Results that are looked at.
    """

    kind: str
    k: int = 10

    needs = ("retrieved_context_ids", "reference_context_ids")

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.k < 1:
            raise UsageProblem(f"There is no measure {self.kind}@{self.k}")

    @property
    def name(self) -> str:
        """``recall@10``."""
        return f"{self.kind}@{self.k}"

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Compare the ids."""
        found = list(dict.fromkeys(sample.retrieved_context_ids))[: self.k]
        gold = frozenset(sample.reference_context_ids)
        return self.found(_MEASURES[self.kind](found, gold, self.k))


def recall(found: Sequence[str], gold: frozenset[str], k: int) -> float:  # noqa: ARG001
    """Return the share of gold ids among the found ones."""
    return len(gold & set(found)) / len(gold)


def precision(found: Sequence[str], gold: frozenset[str], k: int) -> float:  # noqa: ARG001
    """Return the share of found ids that are gold."""
    return len(gold & set(found)) / len(found)


def hit(found: Sequence[str], gold: frozenset[str], k: int) -> float:  # noqa: ARG001
    """Return 1 if any gold id was found."""
    return float(bool(gold & set(found)))


def reciprocal_rank(found: Sequence[str], gold: frozenset[str], k: int) -> float:  # noqa: ARG001
    """Return 1 / rank of the first gold id; 0 without one."""
    return next((1 / rank for rank, each in enumerate(found, start=1) if each in gold), 0.0)


def ndcg(found: Sequence[str], gold: frozenset[str], k: int) -> float:
    """Return nDCG with gains of 0 and 1."""
    gained = sum(1 / math.log2(rank + 2) for rank, each in enumerate(found) if each in gold)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(len(gold), k)))
    return min(1.0, gained / ideal)


_MEASURES = {
    "recall": recall,
    "precision": precision,
    "hit": hit,
    "mrr": reciprocal_rank,
    "ndcg": ndcg,
}
