"""Criteria and rubrics in a person's own words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llmops_kernel.errors import OutputInvalid, UsageProblem
from llmops_kernel.judge.metrics.base import Ask, Finding, Metric, context_parts
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.prompts.fence import Part
    from llmops_kernel.judge.samples import Sample

_TOP = 10


def _shown(sample: Sample) -> tuple[Part, ...]:
    parts: list[Part] = []
    if sample.user_input.strip():
        parts.append(("question", sample.user_input))
    parts += context_parts(sample)
    if sample.reference.strip():
        parts.append(("reference", sample.reference))
    return (*parts, ("response", sample.response))


@dataclass(frozen=True)
class Criteria(Metric):
    """Criteria scored from 0 to 10 by fixed steps, in the manner of G-Eval; one call.

    The steps are part of the version: scores by other steps are not compared. Without steps a
    judge writes them once before the run; keep `steps` to repeat it.

    Attributes:
        criteria: What a good answer is.
        label: A name for it; the metric is ``criteria[label]``.
        steps: How to judge.
    """

    criteria: str
    label: str = ""
    steps: tuple[str, ...] = ()

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.CRITERIA,)

    def __post_init__(self) -> None:
        if not self.criteria.strip():
            raise UsageProblem("Criteria are empty", hint="Say what a good answer is")

    @property
    def name(self) -> str:
        """``criteria[label]``; without a label a hash of the criteria."""
        known = self.label or hashlib.sha256(self.criteria.encode()).hexdigest()[:8]
        return f"criteria[{known}]"

    @property
    def told(self) -> str:
        """Criteria and steps."""
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(self.steps, start=1))
        return f"Criteria: {self.criteria.strip()}" + (f"\n\nSteps:\n{steps}" if steps else "")

    @property
    def steps_hash(self) -> str:
        """Hash of the steps, by which a report names them."""
        return hashlib.sha256("\n".join(self.steps).encode()).hexdigest()[:8]

    async def prepare(self, ask: Ask) -> Self:
        """Have the steps written, if there are none.

        Raises:
            OutputInvalid: The judge wrote none: without steps nothing is scored.
        """
        if self.steps:
            return self
        ruling = await ask(Task(texts.STEPS, (), told=self.told))
        if ruling.data is None:
            raise OutputInvalid(
                "The judge wrote no steps for the criteria",
                detail=ruling.detail,
                hint="Give the steps yourself, or take another judge",
            )
        return replace(self, steps=tuple(step.strip() for step in ruling.data["steps"]))

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        return (Task(texts.CRITERIA, _shown(sample), told=self.told),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for the score."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        detail = {"steps": self.steps_hash}
        value = ruling.data["score"] / _TOP
        return self.found(value, reason=ruling.data["reason"], detail=detail)


@dataclass(frozen=True)
class Rubric(Metric):
    """One level of a rubric, as a share of the way from its lowest to its highest; one call.

    Attributes:
        levels: Level to what an answer on it is like; two at least.
        label: A name for it; the metric is ``rubric[label]``.
    """

    levels: Mapping[int, str] = field(hash=False)
    label: str = ""

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.RUBRIC,)

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise UsageProblem("A rubric needs two levels or more")

    @property
    def name(self) -> str:
        """``rubric[label]``; without a label a hash of the levels."""
        known = self.label or hashlib.sha256(self.told.encode()).hexdigest()[:8]
        return f"rubric[{known}]"

    @property
    def told(self) -> str:
        """The rubric."""
        lines = [f"{level}: {text}" for level, text in sorted(self.levels.items())]
        return "Rubric:\n" + "\n".join(lines)

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return the one task."""
        return (Task(texts.RUBRIC, _shown(sample), told=self.told, check=self._check),)

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for the level."""
        ruling = await ask(self.tasks(sample)[0])
        if ruling.data is None:
            return self.failed(ruling)
        level = ruling.data["level"]
        least, most = min(self.levels), max(self.levels)
        value = (level - least) / (most - least)
        return self.found(value, reason=ruling.data["reason"], detail={"level": level})

    def _check(self, data: Any) -> tuple[str, ...]:
        if data["level"] in self.levels:
            return ()
        return (f"level: {data['level']} is none of {', '.join(map(str, sorted(self.levels)))}",)
