"""What a calibration is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.judge.plain import members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.judge.calibration.advice import LabelAdvice
    from llmops_kernel.judge.calibration.biases import LengthBias, PairLengthBias, PositionBias
    from llmops_kernel.judge.stats.intervals import Interval

# Labels from which on a judge is called calibrated. Simulated (benchmarks/results/gate.json): 95 %
# intervals of 30 labels hold the truth in 91 %; with fewer nobody has measured what they promise.
ENOUGH = 30


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a judge compares with the people who labelled.

    Attributes:
        state: "uncalibrated" until there are labels on scored samples, "too few labels" until there
            are `ENOUGH` of them: then the figures are there, and nothing should rest on them.
        labels: Scored samples that people labelled.
        needed: Labels that are missing until it is "calibrated".
        kappa: Cohen's kappa with people; quadratic where they gave grades. None where undefined.
        human_mean: What people said on average, of the labelled samples.
        corrected: The mean of all samples, corrected by the labels (PPI++); None with fewer than
            two labelled or two other samples.
        cross_check: The same by Rogan and Gladen's formula, for yes-or-no labels.
        note: Why something is missing.
        metric: What was measured.
        human: The label it was compared with.
        judges: Who judged.
        scored: Samples with a score.
        raw: The judge's own mean, with the interval of its spread alone.
        sensitivity: Share of people's yes that the judge calls yes; None for grades.
        specificity: Share of people's no that the judge calls no; None for grades.
        threshold: Scores at or above it are the judge's yes.
        confusion: ``true_positives`` and so on; empty for grades.
        lengths: Whether the judge likes long answers; None for pairs.
        pair_lengths: Whether the longer answer of a pair wins; None for single answers.
        positions: Whether the order of a pair decides; None for single answers.
        advice: How many labels a narrower interval takes.
    """

    state: Literal["uncalibrated", "too few labels", "calibrated"] = "uncalibrated"
    labels: int = 0
    needed: int = ENOUGH
    kappa: Interval | None = None
    human_mean: float | None = None
    corrected: Interval | None = None
    cross_check: Interval | None = None
    note: str = ""
    metric: str = ""
    human: str = ""
    judges: tuple[str, ...] = ()
    scored: int = 0
    raw: Interval | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    threshold: float = 0.5
    confusion: Mapping[str, int] = field(default_factory=dict)
    lengths: LengthBias | None = None
    pair_lengths: PairLengthBias | None = None
    positions: PositionBias | None = None
    advice: tuple[LabelAdvice, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return members(self)
