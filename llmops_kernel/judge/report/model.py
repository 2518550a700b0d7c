"""A report: plain data made from samples and scores."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.judge.calibration.calibrate import calibration_of
from llmops_kernel.judge.calibration.model import Calibration
from llmops_kernel.judge.juries import JuryAgreement, jury_agreement
from llmops_kernel.judge.plain import members
from llmops_kernel.judge.stats.detection import average_ranks
from llmops_kernel.judge.stats.intervals import Interval, mean_interval
from llmops_kernel.judge.tally import Tally, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.report.changes import Change
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score, Verdict

WORST = 10

__all__ = ["Calibration", "MetricReport", "Report", "WorstSample", "build_report"]


@dataclass(frozen=True, slots=True)
class WorstSample:
    """One of the lowest scores, with what the judge said.

    Attributes:
        id: The sample.
        value: Its score.
        user_input: The question.
        response: The answer.
        reason: The judge's words.
        verdicts: What the score was computed from.
        trace_id: Where the answer came from.
    """

    id: str
    value: float
    user_input: str
    response: str
    reason: str
    verdicts: tuple[Verdict, ...]
    trace_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        facts["verdicts"] = [
            {"text": v.text, "verdict": v.verdict, "evidence": v.evidence} for v in self.verdicts
        ]
        return facts


@dataclass(frozen=True, slots=True)
class MetricReport:
    """One metric.

    Attributes:
        metric: The metric with its convention.
        judges: Who judged.
        fingerprints: What the scores were made with.
        samples: Samples that were to be scored.
        mean: Mean of those that were, with its interval; None without any.
        scored: How many were.
        unscored: How many were not, by reason; without abstentions.
        abstained: How many answers make no claim.
        calls: Model calls.
        usd_nano: Cost in real nano-dollars.
        simulated_nano: Cost in simulated nano-dollars; never added to the real ones.
        length_correlation: Spearman's correlation of score and length of the answer: a judge that
            likes long answers shows here. None without spread.
        calibration: How the judge compares with people.
        worst: The lowest scores, lowest first.
        jury: How its members voted; None for a single judge.
    """

    metric: str
    judges: tuple[str, ...]
    fingerprints: tuple[str, ...]
    samples: int
    mean: Interval | None
    scored: int
    unscored: Mapping[str, int]
    abstained: int
    calls: int
    usd_nano: int
    simulated_nano: int
    length_correlation: float | None
    calibration: Calibration
    worst: tuple[WorstSample, ...]
    jury: JuryAgreement | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return members(self)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found.

    Attributes:
        title: What was judged.
        created: When, as ISO 8601 text; "" to leave it out.
        samples: Samples in the set.
        problems: Rows of the data set that were none, by reason.
        metrics: In the order of the scores.
        gate: The decision, where there was one.
        changed: The answers whose scores changed most, by metric, where there is a baseline.
    """

    title: str
    created: str
    samples: int
    problems: Mapping[str, int]
    metrics: tuple[MetricReport, ...]
    gate: GateResult | None = None
    changed: tuple[Change, ...] = ()

    @property
    def calls(self) -> int:
        """Model calls of all metrics."""
        return sum(metric.calls for metric in self.metrics)

    @property
    def usd_nano(self) -> int:
        """Cost of all metrics in real nano-dollars."""
        return sum(metric.usd_nano for metric in self.metrics)

    @property
    def simulated_nano(self) -> int:
        """Cost of all metrics in simulated nano-dollars."""
        return sum(metric.simulated_nano for metric in self.metrics)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        totals = {
            "calls": self.calls,
            "usd_nano": self.usd_nano,
            "simulated_nano": self.simulated_nano,
        }
        return {"format": "llmops-judge-report", "version": 1, **members(self), "totals": totals}


def build_report(
    samples: Sequence[Sample],
    scores: Iterable[Score],
    *,
    gate: GateResult | None = None,
    changed: tuple[Change, ...] = (),
    problems: Mapping[str, int] | None = None,
    title: str = "Evaluation",
    created: str = "",
    level: float = 0.95,
    seed: int = 0,
) -> Report:
    """Return the report of a run.

    Args:
        samples: The set; labels of people are in their ``human``.
        scores: What the judge said, of one or more metrics.
        gate: The decision, if one was made.
        changed: What `changes_of` found, if there is a baseline.
        problems: Rows that were not judged, by reason (`Dataset.counts`).
        title: What was judged.
        created: When, as ISO 8601 text.
        level: Confidence of the intervals.
        seed: Draws the bootstrap.
    """
    by_id = {sample.id: sample for sample in samples}
    metrics = tuple(_metric(each, by_id, level, seed) for each in tally(scores).values())
    return Report(title, created, len(by_id), dict(problems or {}), metrics, gate, changed)


def _metric(own: Tally, by_id: Mapping[str, Sample], level: float, seed: int) -> MetricReport:
    every = [score for each in own.scores.values() for score in each]
    names = list(own.values)
    values = list(own.values.values())
    clusters = [by_id[name].cluster if name in by_id else "" for name in names]
    mean = mean_interval(values, clusters=clusters, level=level, seed=seed) if values else None
    return MetricReport(
        metric=own.metric,
        judges=tuple(sorted(own.judges)),
        fingerprints=tuple(sorted(own.fingerprints)),
        samples=len(own.ids),
        mean=mean,
        scored=len(values),
        unscored=own.reasons,
        abstained=len(own.abstained),
        calls=sum(score.calls for score in every),
        usd_nano=sum(score.usd_nano for score in every if not score.simulated),
        simulated_nano=sum(score.usd_nano for score in every if score.simulated),
        length_correlation=_length_correlation(own, by_id),
        calibration=calibration_of(own, by_id, level=level, seed=seed, raw=mean),
        worst=_worst(own, by_id),
        jury=jury_agreement(every, level=level),
    )


def _worst(own: Tally, by_id: Mapping[str, Sample]) -> tuple[WorstSample, ...]:
    lowest = sorted(own.values, key=lambda name: own.values[name])[:WORST]
    found = []
    for name in lowest:
        sample = by_id.get(name)
        score = min(
            (each for each in own.scores[name] if each.value is not None),
            key=lambda each: each.value or 0.0,
        )
        found.append(
            WorstSample(
                id=name,
                value=own.values[name],
                user_input=sample.user_input if sample else "",
                response=sample.response if sample else "",
                reason=score.reason,
                verdicts=score.verdicts,
                trace_id=sample.trace_id if sample else "",
            )
        )
    return tuple(found)


def _length_correlation(own: Tally, by_id: Mapping[str, Sample]) -> float | None:
    names = [name for name in own.values if name in by_id]
    if len(names) < 3:
        return None
    values = average_ranks(np.array([own.values[name] for name in names]))
    lengths = average_ranks(np.array([float(len(by_id[name].response)) for name in names]))
    if np.ptp(values) == 0 or np.ptp(lengths) == 0:
        return None
    return float(np.corrcoef(values, lengths)[0, 1])
