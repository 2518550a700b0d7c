"""What a judge says of a sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

# Why there is no score. A missing score is never replaced by a number.
Unscored = Literal[
    "parse",  # the judge's output stayed invalid after one repair
    "refused",  # the judge refused to judge
    "missing_field",  # the sample lacks what the metric needs
    "abstained",  # the answer makes no claim (a refusal): counted apart
    "budget",  # a cap was reached
    "error",  # the call failed
    "too_long",  # the sample does not fit the judge
]
Support = Literal["supported", "not_mentioned", "contradicted"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one claim or passage.

    Attributes:
        text: The claim, sentence or passage.
        verdict: Its three-way support, or for passages "useful" / "not_useful".
        evidence: What the judge rests it on.
    """

    text: str
    verdict: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one sample.

    Attributes:
        sample_id: The sample.
        metric: The metric with its convention ("faithfulness[ragas]").
        judge: The judge's id: model or offline heuristic.
        value: 0 to 1, higher is better; None when unscored.
        unscored: Why there is no value; None when there is.
        verdicts: What the value was computed from: other conventions can be, without a new call.
        reason: The judge's words, for people.
        calls: Model calls it took.
        usd_nano: What they cost, in the book ``simulated`` names.
        fingerprint: Hash of judge, prompt version and parameters: scores of different fingerprints
            are not compared.
    """

    sample_id: str
    metric: str
    judge: str
    value: float | None = None
    unscored: Unscored | None = None
    verdicts: tuple[Verdict, ...] = ()
    reason: str = ""
    calls: int = 0
    usd_nano: int = 0
    simulated: bool = False
    fingerprint: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
