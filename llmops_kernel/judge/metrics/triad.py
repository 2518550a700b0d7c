"""The RAG triad in one call: claims with verdicts, relevance, and the worth of each passage.

A third to a ninth of the calls that the metrics make one by one. Its values are close to theirs
and not the same, so that their names say ``fused``; report how the two agree where it matters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from llmops_kernel.judge.judges.signals import is_refusal
from llmops_kernel.judge.metrics.base import (
    Ask,
    Finding,
    Metric,
    context_parts,
    passage_ids,
)
from llmops_kernel.judge.metrics.context import average_precision, passage_verdicts, useful_of
from llmops_kernel.judge.metrics.faithfulness import support
from llmops_kernel.judge.metrics.relevance import TOP
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.samples import Sample


@dataclass(frozen=True)
class Triad(Metric):
    """Faithfulness, answer relevance, context relevance and context precision; one call.

    Attributes:
        convention: How verdicts become faithfulness.
    """

    convention: str = "ragas"

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.TRIAD,)
    needs = ("user_input", "response", "retrieved_contexts")

    @property
    def name(self) -> str:
        """``triad[ragas]``."""
        return f"triad[{self.convention}]"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The four values' names."""
        return (
            f"faithfulness[{self.convention},fused]",
            "answer_relevance[fused]",
            "context_relevance[fused]",
            "context_precision[fused]",
        )

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        parts = (
            ("question", sample.user_input),
            *context_parts(sample),
            ("response", sample.response),
        )
        return (Task(texts.TRIAD, parts, ids=passage_ids(sample)),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for everything at once."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        faithful, answer, context, precision = self.outputs
        useful = useful_of(sample, ruling.data["passages"])
        verdicts = passage_verdicts(sample, useful)
        claims = [] if is_refusal(sample.response) else ruling.data["claims"]
        return [
            replace(support(self.convention, claims), metric=faithful),
            Finding(answer, ruling.data["relevance"] / TOP),
            Finding(context, sum(useful) / len(useful), verdicts=verdicts),
            Finding(precision, average_precision(useful), verdicts=verdicts),
        ]
