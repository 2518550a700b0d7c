"""Whether an answer says what the reference says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.metrics.base import Ask, Finding, Metric
from llmops_kernel.judge.metrics.relevance import builtin_embedder, cosine
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task
from llmops_kernel.judge.scores import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.judge.samples import Sample

_F1_SHARE = 0.75


@dataclass(frozen=True)
class Correctness(Metric):
    """F1 of the statements of answer and reference; one call.

    Attributes:
        convention: "" for F1 alone; ``ragas`` for three parts of F1 and one part of cosine.
        embedder: For the cosine.
    """

    convention: str = ""
    embedder: Callable[[], Embedder] = field(default=builtin_embedder, compare=False)

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.CORRECTNESS,)
    needs = ("response", "reference")

    def __post_init__(self) -> None:
        if self.convention not in ("", "ragas"):
            raise UsageProblem(
                f"There is no convention {self.convention!r}", hint="correctness[ragas], or none"
            )

    @property
    def name(self) -> str:
        """``correctness``, or ``correctness[ragas]``."""
        return f"correctness[{self.convention}]" if self.convention else "correctness"

    @property
    def told(self) -> str:
        """The embedder's id, where it counts."""
        return self.embedder().id if self.convention else ""

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        question = [("question", sample.user_input)] if sample.user_input.strip() else []
        parts = (*question, ("response", sample.response), ("reference", sample.reference))
        return (Task(texts.CORRECTNESS, parts),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask which statements agree."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        both, extra, lacking = (
            ruling.data[name] for name in ("both", "only_response", "only_reference")
        )
        verdicts = (
            *(Verdict(text, "supported") for text in both),
            *(Verdict(text, "not_mentioned") for text in extra),
            *(Verdict(text, "left_out") for text in lacking),
        )
        if not both and not extra:
            return [Finding(self.name, unscored="abstained", verdicts=verdicts,
                            reason="The answer makes no statement")]  # fmt: skip
        value = 2 * len(both) / (2 * len(both) + len(extra) + len(lacking))
        if self.convention:
            alike = cosine(self.embedder(), sample.response, sample.reference)
            value = _F1_SHARE * value + (1 - _F1_SHARE) * alike
        return self.found(value, verdicts=verdicts)


@dataclass(frozen=True)
class Toxicity(Metric):
    """1 less the rating of toxicity (0 to 3, over 3): 1 is good; one call."""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.TOXICITY,)

    @property
    def name(self) -> str:
        """``toxicity``."""
        return "toxicity"

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        return (Task(texts.TOXICITY, (("response", sample.response),)),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for the rating."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        quotes = "; ".join(ruling.data["quotes"])
        return self.found(1 - ruling.data["rating"] / 3, reason=quotes)
