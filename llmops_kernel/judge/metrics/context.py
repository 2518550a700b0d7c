"""Whether retrieval found what the answer needed: relevance, precision and recall of passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from llmops_kernel.judge.metrics.base import (
    Ask,
    Finding,
    Metric,
    context_parts,
    passage_ids,
)
from llmops_kernel.judge.metrics.faithfulness import faithfulness_of, verdicts_of
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task
from llmops_kernel.judge.scores import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.samples import Sample


def average_precision(useful: Sequence[bool]) -> float:
    """Return the mean of precision at the rank of each useful passage; 0 without one."""
    found, total = 0, 0.0
    for rank, each in enumerate(useful, start=1):
        if each:
            found += 1
            total += found / rank
    return total / found if found else 0.0


@dataclass(frozen=True)
class ContextRelevance(Metric):
    """Share of the passages that help to answer the question; one call for all of them."""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.PASSAGES,)
    needs = ("user_input", "retrieved_contexts")

    @property
    def name(self) -> str:
        """``context_relevance``."""
        return "context_relevance"

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        parts = (("question", sample.user_input), *context_parts(sample))
        return (Task(texts.PASSAGES, parts, ids=passage_ids(sample)),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask which passages help."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        useful = useful_of(sample, ruling.data["passages"])
        value = sum(useful) / len(useful)
        return self.found(value, verdicts=passage_verdicts(sample, useful))


@dataclass(frozen=True)
class ContextPrecision(Metric):
    """Average precision of passages that were useful for the reference; one call.

    Without a reference the answer itself stands in for it, which the detail says.
    """

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.USEFUL,)
    needs = ("user_input", "retrieved_contexts")

    @property
    def name(self) -> str:
        """``context_precision``."""
        return "context_precision"

    def missing(self, sample: Sample) -> tuple[str, ...]:
        """Return what is lacking; reference or response will do."""
        lacking = super().missing(sample)
        answer = sample.reference.strip() or sample.response.strip()
        return lacking if answer else (*lacking, "reference")

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        answer = sample.reference if sample.reference.strip() else sample.response
        parts = (("question", sample.user_input), ("answer", answer), *context_parts(sample))
        return (Task(texts.USEFUL, parts, ids=passage_ids(sample)),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask which passages were useful."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        useful = useful_of(sample, ruling.data["passages"])
        verdicts = passage_verdicts(sample, useful)
        by = "reference" if sample.reference.strip() else "response"
        return self.found(average_precision(useful), verdicts=verdicts, detail={"by": by})


@dataclass(frozen=True)
class ContextRecall(Metric):
    """Share of the reference's sentences that the passages support; one call."""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.RECALL,)
    needs = ("retrieved_contexts", "reference")

    @property
    def name(self) -> str:
        """``context_recall``."""
        return "context_recall"

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        return (Task(texts.RECALL, (*context_parts(sample), ("reference", sample.reference))),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask which sentences the passages support."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        verdicts = verdicts_of(ruling.data["claims"])
        value = faithfulness_of(verdicts)
        if value is None:
            return [Finding(self.name, unscored="parse", reason="No sentence of the reference")]
        return self.found(value, verdicts=verdicts)


def useful_of(sample: Sample, said: Mapping[str, bool]) -> list[bool]:
    """Return whether each passage is useful, best passage first."""
    return [said[name] for name in passage_ids(sample)]


def passage_verdicts(sample: Sample, useful: Sequence[bool]) -> tuple[Verdict, ...]:
    """Return verdicts on passages, each with the beginning of its text."""
    pairs = zip(sample.retrieved_contexts, useful, strict=True)
    return tuple(Verdict(text[:200], "useful" if each else "not_useful") for text, each in pairs)
