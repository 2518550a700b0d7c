"""Answer relevance: does the answer address the question, true or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from llmops_kernel.judge.metrics.base import Ask, Finding, Metric
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.embed.protocol import Embedder
    from llmops_kernel.judge.samples import Sample

TOP = 3  # the highest rating


def builtin_embedder() -> Embedder:
    """Return the embedder in the wheel, loaded at the first use."""
    from llmops_kernel.embed.minilm import builtin

    return builtin()


@dataclass(frozen=True)
class AnswerRelevance(Metric):
    """A rating from 0 to 3, over 3; one call."""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.RELEVANCE,)
    needs = ("user_input", "response")

    @property
    def name(self) -> str:
        """``answer_relevance``."""
        return "answer_relevance"

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        parts = (("question", sample.user_input), ("response", sample.response))
        return (Task(texts.RELEVANCE, parts),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for the rating."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        return self.found(ruling.data["rating"] / TOP, reason=ruling.data["reason"])


@dataclass(frozen=True)
class QuestionRelevance(Metric):
    """Ragas' measure: mean cosine of the question to three that the answer would answer.

    One call; 0 for a noncommittal answer. It depends on the embedder, so that only differences
    mean anything.

    Attributes:
        embedder: Returns the embedder; its id is part of the version.
    """

    embedder: Callable[[], Embedder] = field(default=builtin_embedder, compare=False)

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.QUESTIONS,)
    needs = ("user_input", "response")

    @property
    def name(self) -> str:
        """``answer_relevance[ragas]``."""
        return "answer_relevance[ragas]"

    @property
    def told(self) -> str:
        """The embedder's id."""
        return self.embedder().id

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        return (Task(texts.QUESTIONS, (("response", sample.response),)),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for questions and compare them with the real one."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        questions = ruling.data["questions"]
        detail = {"questions": questions, "noncommittal": ruling.data["noncommittal"]}
        if ruling.data["noncommittal"]:
            return self.found(0.0, detail=detail)
        embedder = self.embedder()
        asked = embedder.embed_query(sample.user_input)
        cosines = [float(asked @ embedder.embed_query(each)) for each in questions]
        value = sum(cosines) / len(cosines)
        return self.found(min(1.0, max(0.0, value)), detail=detail)


@dataclass(frozen=True)
class SemanticSimilarity(Metric):
    """Cosine of answer and reference, by the embedder; no call."""

    embedder: Callable[[], Embedder] = field(default=builtin_embedder, compare=False)

    needs = ("response", "reference")

    @property
    def name(self) -> str:
        """``semantic_similarity``."""
        return "semantic_similarity"

    @property
    def told(self) -> str:
        """The embedder's id."""
        return self.embedder().id

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:  # noqa: ARG002
        """Compare the two texts, up to the tokens that the embedder reads."""
        return self.found(cosine(self.embedder(), sample.response, sample.reference))


def cosine(embedder: Embedder, one: str, other: str) -> float:
    """Return the cosine of two texts, 0 where it is negative."""
    value = float(embedder.embed_query(one) @ embedder.embed_query(other))
    return min(1.0, max(0.0, value))
