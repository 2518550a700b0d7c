"""What all metrics share."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from llmops_kernel.judge.judges.protocol import Ruling
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

if TYPE_CHECKING:
    from llmops_kernel.judge.prompts.fence import Part
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Unscored, Verdict

Ask = Callable[[Task], Awaitable[Ruling]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One value of one sample; the runner makes a `Score` of it."""

    metric: str
    value: float | None = None
    unscored: Unscored | None = None
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """Something that is measured of a sample.

    Attributes:
        prompts: What a judge is told; none for metrics that are computed here.
        needs: Fields of a sample that must not be empty.
        threshold: At or above it a value means yes, where yes or no is asked for.
    """

    prompts: ClassVar[tuple[JudgePrompt, ...]] = ()
    needs: tuple[str, ...] = ("response",)
    threshold: ClassVar[float] = 0.5

    @property
    @abstractmethod
    def name(self) -> str:
        """The metric with its convention: ``faithfulness[ragas]``."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values that `measure` returns, in order."""
        return (self.name,)

    @property
    def judged(self) -> bool:
        """Whether a judge is asked."""
        return bool(self.prompts)

    @property
    def told(self) -> str:
        """Words of the person who asks; they count to the version."""
        return ""

    @property
    def version(self) -> str:
        """Every prompt's id, and a hash of what else is told."""
        ids = [prompt.id for prompt in self.prompts]
        if self.told:
            ids.append(hashlib.sha256(self.told.encode()).hexdigest()[:8])
        return "+".join(ids)

    def seen(self, sample: Sample) -> str:  # noqa: ARG002 - for those that look at more
        """Return what is looked at beyond `Sample.digest`, for the journal's key."""
        return ""

    def missing(self, sample: Sample) -> tuple[str, ...]:
        """Return the needed fields that a sample lacks."""
        return tuple(name for name in self.needs if not _given(sample, name))

    def tasks(self, sample: Sample) -> Sequence[Task]:  # noqa: ARG002
        """Return tasks like those that will be asked, for an estimate."""
        return ()

    async def prepare(self, ask: Ask) -> Self:  # noqa: ARG002
        """Do what is done once before a run (write the steps of criteria)."""
        return self

    @abstractmethod
    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Return the values of a sample that lacks nothing."""

    def failed(self, ruling: Ruling) -> list[Finding]:
        """Return that there are no values, and why."""
        return [
            Finding(name, unscored=ruling.unscored, reason=ruling.detail) for name in self.outputs
        ]

    def found(self, value: float, **more: Any) -> list[Finding]:
        """Return one value."""
        return [Finding(self.name, value, **more)]


def _given(sample: Sample, name: str) -> bool:
    value = getattr(sample, name, None)
    if value is None:
        value = sample.extra.get(name)
    return bool(value.strip() if isinstance(value, str) else value)


def passage_ids(sample: Sample) -> tuple[str, ...]:
    """Return ids for passages in a prompt: p1, p2, ..."""
    return tuple(f"p{number}" for number in range(1, len(sample.retrieved_contexts) + 1))


def context_parts(sample: Sample) -> list[Part]:
    """Return the passages as parts of a prompt."""
    passages = zip(passage_ids(sample), sample.retrieved_contexts, strict=True)
    return [("context", text, name) for name, text in passages]


def digest(value: Any) -> str:
    """Return a short hash of JSON-like data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
