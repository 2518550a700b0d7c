"""What a run would take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd
from llmops_kernel.judge.judges.jury import Jury

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.samples import Sample

# Of a larger set so many samples are counted, evenly spread.
_COUNTED = 400


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Calls, tokens and dollars of a run, without repairs.

    Attributes:
        calls: Model calls.
        input_tokens: Likely input tokens of all calls.
        output_tokens: Likely output tokens.
        usd_nano: Likely cost in nano-dollars.
        most_nano: The cost if every answer were as long as it may be.
        simulated: Whether the dollars are simulated ones.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd_nano: int
    most_nano: int
    simulated: bool

    @property
    def usd(self) -> Decimal:
        """Likely dollars."""
        return usd(self.usd_nano)

    @property
    def most_usd(self) -> Decimal:
        """Dollars at most, without repairs."""
        return usd(self.most_nano)


def estimate(
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    *,
    repeats: int = 1,
) -> RunEstimate:
    """Return what a run would take; samples that lack a field take nothing.

    Sets of more than 400 samples are extrapolated from 400 of them.
    """
    judges = judge.judges if isinstance(judge, Jury) else (judge,)
    step = max(1, len(samples) // _COUNTED)
    counted = samples[::step]
    sums = [0] * 5
    for sample in counted:
        for metric in metrics:
            if not metric.judged or metric.missing(sample):
                continue
            for task in metric.tasks(sample):
                for each in judges:
                    figures = (1, *each.bound(task))
                    sums = [a + b for a, b in zip(sums, figures, strict=True)]
    share = repeats * len(samples) / len(counted) if counted else 0
    calls, given, written, likely, most = (round(total * share) for total in sums)
    simulated = all(each.simulated for each in judges)
    return RunEstimate(calls, given, written, likely, most, simulated)
