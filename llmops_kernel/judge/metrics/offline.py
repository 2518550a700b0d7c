"""The offline judge's signals as metrics, under the names of what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from llmops_kernel.judge.judges.offline import OFFLINE
from llmops_kernel.judge.judges.signals import (
    Evidence,
    claims_of,
    entities_found,
    is_refusal,
    uncited,
)
from llmops_kernel.judge.metrics.base import Ask, Finding, Metric
from llmops_kernel.judge.metrics.relevance import builtin_embedder, cosine
from llmops_kernel.judge.scores import Verdict

if TYPE_CHECKING:
    from llmops_kernel.judge.samples import Sample

_MOST_CHARS = 2_000_000
_HELD, _PARTLY = 0.6, 0.35


@dataclass(frozen=True)
class LexicalSupport(Metric):
    """Share of the answer's content, weighted by rarity, that the passages hold.

    Each sentence against its best window of three sentences; the mean by weight of content. The
    detail has ``negation_mismatch`` where one of the two denies and the other does not. Verdicts
    are ``found``, ``partly_found`` and ``not_found``: of words, not of truth.
    """

    needs = ("response", "retrieved_contexts")
    by = OFFLINE
    threshold: ClassVar[float] = _HELD

    @property
    def name(self) -> str:
        """``lexical_support``."""
        return "lexical_support"

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Compare sentence by sentence."""
        if too_long := _too_long(self.name, sample):
            return too_long
        claims = claims_of(uncited(sample.response))
        if not claims or is_refusal(sample.response):
            return [Finding(self.name, unscored="abstained", reason="The answer makes no claim")]
        evidence = Evidence(sample.retrieved_contexts)
        found = [evidence.support(claim) for claim in claims]
        total = sum(each.weight for each in found)
        value = sum(each.recall * each.weight for each in found) / total
        verdicts = tuple(
            Verdict(
                each.text,
                "found" if each.recall >= _HELD else
                "partly_found" if each.recall >= _PARTLY else "not_found",
                each.evidence[:300],
            )
            for each in found
        )  # fmt: skip
        negated = [each.text for each in found if each.negated]
        detail = {"lowest": min(each.recall for each in found)}
        if negated:
            detail["negation_mismatch"] = negated  # type: ignore[assignment]
        return self.found(min(1.0, value), verdicts=verdicts, detail=detail)


@dataclass(frozen=True)
class EntityConsistency(Metric):
    """Share of the answer's figures, dates, amounts and names that the passages hold.

    Marks of citations such as [1] are none of its figures. Without any figure or name it has
    nothing to say: ``abstained``.
    """

    needs = ("response", "retrieved_contexts")
    by = OFFLINE

    @property
    def name(self) -> str:
        """``entity_consistency``."""
        return "entity_consistency"

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Look the entities up."""
        if too_long := _too_long(self.name, sample):
            return too_long
        evidence = Evidence(sample.retrieved_contexts)
        held, lacking = entities_found(uncited(sample.response), evidence)
        if not held and not lacking:
            return [Finding(self.name, unscored="abstained", reason="No figure and no name")]
        verdicts = (
            *(Verdict(one, "found") for one in held),
            *(Verdict(one, "not_found") for one in lacking),
        )
        return self.found(len(held) / (len(held) + len(lacking)), verdicts=verdicts)


@dataclass(frozen=True)
class EmbeddingRelevance(Metric):
    """Cosine of question and answer, by the built-in embedder: a hint of the same subject."""

    needs = ("user_input", "response")
    by = OFFLINE

    @property
    def name(self) -> str:
        """``embedding_relevance``."""
        return "embedding_relevance"

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Compare the two texts."""
        if too_long := _too_long(self.name, sample):
            return too_long
        return self.found(embedding_relevance(sample.user_input, sample.response))


def embedding_relevance(question: str, answer: str) -> float:
    """Return the cosine of two texts by the built-in embedder, 0 where it is negative."""
    return cosine(builtin_embedder(), question, answer)


def _too_long(name: str, sample: Sample) -> list[Finding]:
    chars = len(sample.response) + sum(map(len, sample.retrieved_contexts))
    if chars <= _MOST_CHARS:
        return []
    return [Finding(name, unscored="too_long", reason=f"{chars:,} characters")]
