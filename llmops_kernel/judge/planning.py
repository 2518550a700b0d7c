"""What a gate will be able to see, told before there is anything to compare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.plain import members
from llmops_kernel.judge.stats.intervals import t_mean
from llmops_kernel.judge.stats.power import mde
from llmops_kernel.judge.stats.quantiles import t_quantile
from llmops_kernel.judge.tally import Tally, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.judge.decision import GateConfig
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.intervals import Interval


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What a comparison of one metric with its baseline will be able to see.

    Attributes:
        metric: The metric.
        n: Samples with a score in the baseline.
        margin: Tolerated loss.
        power: Chance with which the detectable loss is found.
        detectable: Smallest loss beyond the margin that is found with that chance if every answer
            is written anew; None where the baseline's scores have no spread.
        asked: The loss that must be seen, or else the margin; None where neither was given.
        share: Up to which share of changed answers the loss that was asked for is found: 1 where it
            always is; None where ``asked`` or ``detectable`` is.
    """

    metric: str
    n: int
    margin: float
    power: float
    detectable: float | None
    asked: float | None
    share: float | None

    @property
    def enough(self) -> bool:
        """Whether what was asked for is seen whatever changes; True where nothing was."""
        return self.share is None or self.share >= 1

    @property
    def sentence(self) -> str:
        """What it will see, for people."""
        samples = f"{self.metric}: {self.n} sample{'s' * (self.n != 1)}"
        if self.detectable is None:
            return f"{samples} of one and the same score do not tell what loss can be seen"
        beyond = f" beyond the margin of {self.margin:g}" if self.margin else ""
        told = f"{samples} can show a loss of {self.detectable:.3f}{beyond} if all answers change"
        if self.enough or self.share is None:
            return told
        seen = f"at most {self.share:.0%}" if self.share >= 0.01 else "less than 1%"
        seen = seen.replace("%", " %")
        return (
            f"{told}; the {self.asked:g} asked for is less, and seen only while {seen} of them do"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return members(self) | {"enough": self.enough, "sentence": self.sentence}


def plan(
    baseline: Iterable[Score], config: GateConfig, *, samples: Iterable[Sample] = ()
) -> tuple[MetricPlan, ...]:
    """Return what a gate will be able to see, from its baseline and configuration alone.

    Source: `mde` with the standard deviation of differences between two independent scores of the
    baseline's spread, sqrt(2) sd (cluster-robust where there are clusters). If only a share q of
    the answers changes it is sqrt(2 q) sd, so that answers left as they are let it see more. After
    the run each metric's own ``mde`` says what it did see.

    Args:
        baseline: Its scores.
        config: What a change must not do.
        samples: The samples; those of one cluster are not independent.
    """
    clusters = {sample.id: sample.cluster for sample in samples}
    known = tally(baseline)
    margins = margins_of(known, config)
    gated = tested_of(margins, config)
    return tuple(
        _planned(known.get(name) or Tally(name), margin, config, config.alpha / gated, clusters)
        for name, margin in margins.items()
    )


def margins_of(baseline: Mapping[str, Tally], config: GateConfig) -> dict[str, float]:
    """Return the metrics that are compared, each with the loss that is tolerated."""
    return dict(config.margins or dict.fromkeys(baseline, 0.0))


def tested_of(margins: Mapping[str, float], config: GateConfig) -> int:
    """Return how many metrics share the level of the tests: those that can stop a change."""
    return max(1, sum(name not in config.advisory for name in margins))


def standard_error(interval: Interval) -> float:
    """Return the standard error that a t interval was made of; infinite for a single group."""
    if interval.clusters < 2:
        return math.inf
    quantile = t_quantile((1 + interval.level) / 2, interval.clusters - 1)
    return (interval.high - interval.estimate) / quantile


def _planned(
    own: Tally, margin: float, config: GateConfig, alpha: float, clusters: Mapping[str, str]
) -> MetricPlan:
    asked = config.must_detect or margin or None
    names, detectable = list(own.values), None
    if len(names) > 1:
        mean = t_mean(
            list(own.values.values()), clusters=[clusters.get(name, "") for name in names]
        )
        spread = math.sqrt(2) * standard_error(mean) * math.sqrt(len(names))
        if 0 < spread < math.inf:
            detectable = mde(spread, len(names), alpha=alpha, power=config.power)
    share = min(1.0, (asked / detectable) ** 2) if asked and detectable else None
    return MetricPlan(own.metric, len(names), margin, config.power, detectable, asked, share)
