"""The single measurements a run is made of, in order, and what each is known by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_kernel.judge.journal import journal_key
from llmops_kernel.judge.scores import Score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.protocol import Judge, Ruling
    from llmops_kernel.judge.metrics.base import Finding, Metric
    from llmops_kernel.judge.prompts.text import Task
    from llmops_kernel.judge.samples import Sample

COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement.

    Attributes:
        sample: What is measured.
        metric: What is measured of it.
        judge: Who measures; None where nobody is asked.
        repeat: Which of several draws this is.
    """

    sample: Sample
    metric: Metric
    judge: Judge | None
    repeat: int

    @property
    def key(self) -> str:
        """What a journal knows it by; only measurements by a judge have a key."""
        assert self.judge is not None
        seen = f"{self.sample.digest}/{self.metric.seen(self.sample)}"
        return journal_key(
            seen, self.metric.name, self.metric.version, self.judge.id, self.judge.params,
            self.repeat,
        )  # fmt: skip

    def scores(
        self, found: Sequence[Finding], rulings: Sequence[Ruling], *, repeated: bool
    ) -> list[Score]:
        """Make scores of findings; the first one carries the calls and the cost of all."""
        metric, judge = self.metric, self.judge
        name = judge.id if judge is not None else getattr(metric, "by", COMPUTED)
        params = repr(sorted(judge.params.items())) if judge is not None else ""
        mark = _hash(name, params, metric.name, metric.version)
        simulated = any(ruling.simulated for ruling in rulings)
        scores = []
        for number, finding in enumerate(found):
            detail = dict(finding.detail)
            if repeated:
                detail["repeat"] = self.repeat
            first = rulings if number == 0 else ()
            scores.append(
                Score(
                    self.sample.id,
                    finding.metric,
                    name,
                    finding.value,
                    finding.unscored,
                    finding.verdicts,
                    finding.reason,
                    sum(ruling.calls for ruling in first),
                    sum(ruling.usd_nano for ruling in first),
                    simulated,
                    mark,
                    detail,
                )
            )
        return scores


def cells_of(
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judges: Sequence[Judge],
    repeats: int,
) -> Iterator[Cell]:
    """Yield the measurements: by sample, then by metric, then by repeat, then by judge."""
    for sample in samples:
        for metric in metrics:
            for repeat in range(repeats if metric.judged else 1):
                for judge in judges if metric.judged else (None,):
                    yield Cell(sample, metric, judge, repeat)


def in_order(
    cells: Sequence[Cell], found: Sequence[list[Score]], jury: Jury | None
) -> Iterator[Score]:
    """Yield the scores of measurements in their order; the votes of a jury become one score."""
    at = 0
    while at < len(cells):
        members = len(jury.judges) if jury is not None and cells[at].judge is not None else 1
        votes = found[at : at + members]
        at += members
        if jury is None or members == 1:
            yield from votes[0]
            continue
        for together in zip(*votes, strict=True):
            marks = "+".join(score.fingerprint for score in together)
            yield replace(jury.combine(together), fingerprint=_hash(jury.id, marks))


def prepare_key(task: Task, judge: Judge) -> str:
    """Return what a journal knows a question by that is asked once before a run."""
    return journal_key(task.told, "prepare", task.prompt.id, judge.id, judge.params, 0)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
