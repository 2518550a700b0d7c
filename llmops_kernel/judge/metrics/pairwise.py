"""Two answers against each other, in both orders: a judge that follows position says tie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from llmops_kernel.judge.metrics.base import Ask, Finding, Metric, context_parts, digest
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

OTHER = "response_b"
_TIE = 0.5


@dataclass(frozen=True)
class Pairwise(Metric):
    """1 if the sample's answer is better than the other one, 0 if worse, 0.5 for a tie; two calls.

    The other answer is the sample's field ``response_b``. Where the two orders disagree, it is a
    tie; how often they agree is `consistency_rate`.
    """

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.PAIRWISE,)
    needs = ("user_input", "response", OTHER)

    @property
    def name(self) -> str:
        """``pairwise``."""
        return "pairwise"

    def seen(self, sample: Sample) -> str:
        """Return a hash of the other answer."""
        return digest(sample.extra.get(OTHER))

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the two tasks."""
        first, second = sample.response, str(sample.extra[OTHER])
        return (self._task(sample, first, second), self._task(sample, second, first))

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask in both orders."""
        said: list[str] = []
        reasons: list[str] = []
        for task in self.tasks(sample):
            ruling = await ask(task)
            if ruling.data is None:
                return self.failed(ruling)
            said.append(ruling.data["better"])
            reasons.append(ruling.data["reason"])
        forward = {"A": 1.0, "B": 0.0, "tie": _TIE}[said[0]]
        backward = {"A": 0.0, "B": 1.0, "tie": _TIE}[said[1]]
        consistent = forward == backward
        detail: dict[str, Any] = {"forward": forward, "backward": backward,
                                  "consistent": consistent}  # fmt: skip
        return self.found(
            forward if consistent else _TIE, reason=" / ".join(reasons), detail=detail
        )

    def _task(self, sample: Sample, first: str, second: str) -> Task:
        parts = (
            ("question", sample.user_input),
            *context_parts(sample),
            ("response", first, "A"),
            ("response", second, "B"),
        )
        return Task(texts.PAIRWISE, parts)


def consistency_rate(scores: Iterable[Score]) -> float | None:
    """Return the share of pairs on which both orders agreed; None without a scored pair."""
    agreed = [bool(score.detail["consistent"]) for score in scores if "consistent" in score.detail]
    return sum(agreed) / len(agreed) if agreed else None
