"""Faithfulness: which claims of an answer its passages support.

Three-way verdicts are stored, and every convention is computed from them. Of four claims, two
supported, one not mentioned and one contradicted, Ragas says 2/4, DeepEval 3/4 (it counts what is
not mentioned as faithful), and TruLens' graded mean lies between. TruLens grades 0 to 3 a
sentence; of three-way verdicts half a point stands for "not mentioned", which is near to it and
not the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge.judges.signals import is_refusal
from llmops_kernel.judge.metrics.base import (
    Ask,
    Finding,
    Metric,
    context_parts,
)
from llmops_kernel.judge.prompts import texts
from llmops_kernel.judge.prompts.text import JudgePrompt, Task
from llmops_kernel.judge.scores import Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.samples import Sample

Convention = Literal["ragas", "deepeval", "trulens"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)

_MARK = re.compile(r"\s*\[?c(\d{1,4})\b")

_WORTH: dict[str, dict[str, float]] = {
    "ragas": {"supported": 1.0, "not_mentioned": 0.0, "contradicted": 0.0},
    "deepeval": {"supported": 1.0, "not_mentioned": 1.0, "contradicted": 0.0},
    "trulens": {"supported": 1.0, "not_mentioned": 0.5, "contradicted": 0.0},
}


def faithfulness_of(verdicts: Iterable[str | Verdict], convention: str = "ragas") -> float | None:
    """Return the mean worth of verdicts by a convention; None without a verdict.

    Raises:
        UsageProblem: There is no such convention.
    """
    worth = _WORTH[_known(convention)]
    values = [worth[v.verdict if isinstance(v, Verdict) else v] for v in verdicts]
    return sum(values) / len(values) if values else None


def rescore(score: Score, convention: str) -> Score:
    """Return a stored faithfulness by another convention, without a new call.

    Raises:
        UsageProblem: There is no such convention, or the score is no faithfulness.
    """
    base = score.metric.partition("[")[0]
    if base != "faithfulness":
        raise UsageProblem("Only faithfulness has conventions", detail=score.metric)
    metric = f"faithfulness[{_known(convention)}]"
    if score.value is None:
        return replace(score, metric=metric)
    return replace(score, metric=metric, value=faithfulness_of(score.verdicts, convention))


@dataclass(frozen=True)
class Faithfulness(Metric):
    """Share of claims that the passages support; two calls a sample.

    Attributes:
        convention: How verdicts become a number.
    """

    convention: str = "ragas"

    prompts: ClassVar[tuple[JudgePrompt, ...]] = (texts.CLAIMS, texts.VERDICTS)
    needs = ("response", "retrieved_contexts")

    def __post_init__(self) -> None:
        _known(self.convention)

    @property
    def name(self) -> str:
        """``faithfulness[ragas]``."""
        return f"faithfulness[{self.convention}]"

    def tasks(self, sample: Sample) -> Sequence[Task]:
        """Return both tasks; the answer stands in for the claims that are not known yet."""
        return (self._claims(sample), self._verdicts(sample, [sample.response]))

    async def measure(self, sample: Sample, ask: Ask) -> list[Finding]:
        """Ask for claims, then for their verdicts."""
        if is_refusal(sample.response):
            return [support(self.convention, [])]
        split = await ask(self._claims(sample))
        if split.data is None:
            return self.failed(split)
        claims = [item["claim"] for item in split.data["claims"] if item["claim"].strip()]
        if not claims:
            return [Finding(self.name, unscored="abstained", reason="The answer makes no claim")]
        judged = await ask(self._verdicts(sample, claims))
        if judged.data is None:
            return self.failed(judged)
        items = zip(claims, judged.data["verdicts"], strict=True)
        return [support(self.convention, [{**item, "claim": claim} for claim, item in items])]

    def _claims(self, sample: Sample) -> Task:
        question = [("question", sample.user_input)] if sample.user_input.strip() else []
        return Task(texts.CLAIMS, (*question, ("response", sample.response)))

    def _verdicts(self, sample: Sample, claims: Sequence[str]) -> Task:
        lines = [f"[c{number}] {' '.join(claim.split())}" for number, claim in _counted(claims)]
        check = partial(_one_each, len(claims))
        parts = (*context_parts(sample), ("claims", "\n".join(lines)))
        return Task(texts.VERDICTS, parts, check=check)


def support(convention: str, items: Sequence[dict[str, Any]]) -> Finding:
    """Return faithfulness from judged claims; ``abstained`` without a claim."""
    name = f"faithfulness[{convention}]"
    verdicts = verdicts_of(items)
    value = faithfulness_of(verdicts, convention)
    if value is None:
        return Finding(name, unscored="abstained", reason="The answer makes no claim")
    return Finding(name, value, verdicts=verdicts)


def verdicts_of(items: Sequence[dict[str, Any]]) -> tuple[Verdict, ...]:
    """Return judged claims as they are stored."""
    return tuple(
        Verdict(item["claim"], item["verdict"], item.get("evidence", ""))
        for item in items
        if item["claim"].strip()
    )


def _counted(claims: Sequence[str]) -> Iterable[tuple[int, str]]:
    return enumerate(claims, start=1)


def _one_each(count: int, data: Any) -> tuple[str, ...]:
    """Return what is wrong unless there is one verdict for each claim, in order."""
    marks = [_MARK.match(item["claim"]) for item in data["verdicts"]]
    got = [int(mark[1]) if mark else 0 for mark in marks]
    if got == list(range(1, count + 1)):
        return ()
    told = ", ".join(f"c{number}" if number else "?" for number in got[:50]) or "none"
    return (f"verdicts: wanted one for each of [c1] to [c{count}], in order; got {told}",)


def _known(convention: str) -> str:
    if convention not in CONVENTIONS:
        raise UsageProblem(
            f"There is no convention {convention!r}{nearest(convention, CONVENTIONS)}",
            hint=f"Choose {', '.join(CONVENTIONS)}",
        )
    return convention
