"""What a gate is asked, and what it answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge.stats.paired import FLIPS
from llmops_kernel.judge.stats.sequential import SPENDINGS, Spending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.judge.planning import MetricPlan
    from llmops_kernel.judge.stats.intervals import Interval

Outcome = Literal["pass", "regression", "inconclusive", "invalid", "budget"]
EXIT_CODES: dict[Outcome, int] = {
    "pass": 0,
    "regression": 1,
    "inconclusive": 2,
    "invalid": 3,
    "budget": 4,
}


@dataclass(frozen=True, slots=True)
class GateConfig:
    """What a change must not do.

    Attributes:
        margins: Metrics that are compared with the baseline, each with the loss that is tolerated
            (0..1). Empty: every metric of the baseline, with no loss.
        floors: Metrics with the mean they must have; the lower bound of the mean must reach it.
        policy: "regression" stops a change that is proved to lose more than the margin, for a pull
            request; "noninferiority" lets only a change pass that is proved to lose less, for a
            main branch, and needs margins above 0.
        alpha: Level of the tests over all metrics together.
        power: Chance with which the minimum detectable effect is found.
        max_unscored: Share of a metric's samples that may be unscored; abstentions are not counted.
        max_abstained_rise: How much the share of answers without a claim may rise.
        min_n: Fewer pairs decide nothing.
        must_detect: A loss the comparison must be able to see to let a change pass, under
            "regression"; None for any.
        advisory: Metrics that are reported and never stop anything, such as offline heuristics.
        looks: Numbers of samples at which the gate may decide, rising, declared before the first
            look; the last is the maximum. Empty: one look at all samples.
        spending: How much of alpha the looks before the last may use: "obrien-fleming" little,
            "pocock" about as much as the last.
        flips: Sign patterns of the permutation test.
        seed: Draws them.
    """

    margins: Mapping[str, float] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    policy: Literal["regression", "noninferiority"] = "regression"
    alpha: float = 0.05
    power: float = 0.8
    max_unscored: float = 0.02
    max_abstained_rise: float = 0.05
    min_n: int = 20
    must_detect: float | None = None
    advisory: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    spending: Spending = "obrien-fleming"
    flips: int = FLIPS
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be (raises `UsageProblem`)."""
        if self.policy not in ("regression", "noninferiority"):
            raise UsageProblem(
                f"There is no policy {self.policy!r}"
                f"{nearest(str(self.policy), ('regression', 'noninferiority'))}"
            )
        shares = {"max_unscored": self.max_unscored, "max_abstained_rise": self.max_abstained_rise}
        shares |= {f"margins.{name}": value for name, value in self.margins.items()}
        shares |= {f"floors.{name}": value for name, value in self.floors.items()}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise UsageProblem("A share must lie between 0 and 1", detail=f"{name} = {value}")
        if not 0 < self.alpha < 1 or not 0 < self.power < 1 or self.min_n < 2 or self.flips < 100:
            raise UsageProblem(
                "A number of the gate cannot be",
                hint="alpha and power lie between 0 and 1, min_n is 2 or more, flips 100 or more",
            )
        self._check_looks()
        if self.must_detect is not None and self.must_detect <= 0:
            raise UsageProblem("The loss that must be seen is above 0")
        if self.policy == "noninferiority" and not all(self.margins.values()):
            raise UsageProblem(
                "Non-inferiority needs margins above 0",
                hint="No number of samples proves that nothing at all was lost",
            )
        if self.policy == "noninferiority" and not self.margins and not self.floors:
            raise UsageProblem(
                "Non-inferiority needs margins", hint='margins = {"correctness" = 0.05}'
            )

    def _check_looks(self) -> None:
        if self.spending not in SPENDINGS:
            raise UsageProblem(
                f"There is no spending function {self.spending!r}"
                f"{nearest(str(self.spending), SPENDINGS)}"
            )
        if not self.looks:
            return
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in self.looks)
        if not whole or self.looks[0] < self.min_n or list(self.looks) != sorted(set(self.looks)):
            raise UsageProblem(
                "The looks of a gate must be rising numbers of samples",
                detail=str(list(self.looks)),
                hint=f"looks = [100, 200, 400], the first one {self.min_n} (min_n) or more",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GateConfig:
        """Return the configuration of a mapping, as a TOML file gives it.

        Raises:
            UsageProblem: A name is unknown, or a value cannot be.
        """
        known = {each.name for each in fields(cls)}
        for name in data:
            if name not in known:
                raise UsageProblem(f"The gate has no setting {name!r}{nearest(name, known)}")
        given = dict(data)
        try:
            for name in ("advisory", "looks"):
                if name in given:
                    given[name] = tuple(given[name])
            return cls(**given)
        except (TypeError, AttributeError) as error:
            raise UsageProblem(
                "A setting of the gate has another type", detail=str(error)
            ) from None


@dataclass(frozen=True, slots=True)
class MetricGate:
    """What was decided of one metric.

    Attributes:
        metric: The metric.
        outcome: Its own outcome.
        reasons: Why, for people.
        advisory: Whether it stops nothing.
        n: Samples scored in both runs (in this one, without a baseline).
        mean: This run's mean with its interval.
        baseline_mean: The baseline's mean over the same pairs.
        delta: This run's mean less the baseline's, over pairs.
        p: Two-sided sign-flip p-value of the hypothesis that the loss is the margin.
        p_holm: The same, adjusted for the number of metrics.
        mde: Smallest loss beyond the margin that is found with the configured power.
        n_needed: Samples it takes to decide; None where no number is known to.
        margin: Tolerated loss; None where the metric is not compared.
        floor: Mean it must have; None without one.
        unscored: Samples without a score here, by reason; without abstentions.
        abstained: Share of answers without a claim here.
        abstained_before: The same in the baseline.
        look: Which of the declared looks this is, from 1; None for a gate with one look.
        alpha: Level at which this look may decide; of all metrics together without looks.
    """

    metric: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    advisory: bool = False
    n: int = 0
    mean: Interval | None = None
    baseline_mean: float | None = None
    delta: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    mde: float | None = None
    n_needed: int | None = None
    margin: float | None = None
    floor: float | None = None
    unscored: Mapping[str, int] = field(default_factory=dict)
    abstained: float = 0.0
    abstained_before: float | None = None
    look: int | None = None
    alpha: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        facts = {each.name: getattr(self, each.name) for each in fields(self)}
        for name in ("mean", "delta"):
            facts[name] = facts[name].as_dict() if facts[name] else None
        return facts | {"reasons": list(self.reasons), "unscored": dict(self.unscored)}


@dataclass(frozen=True, slots=True)
class GateResult:
    """The decision.

    Attributes:
        outcome: "pass", "regression", "inconclusive", "invalid" or "budget".
        metrics: Each metric's own, in the order of the configuration.
        reasons: Why, for people; metrics that pass say nothing.
        config: What was asked.
        plan: What could be seen, as it was known before the run; empty without a baseline.
    """

    outcome: Outcome
    metrics: tuple[MetricGate, ...]
    reasons: tuple[str, ...]
    config: GateConfig
    plan: tuple[MetricPlan, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 2 inconclusive, 3 invalid, 4 budget."""
        return EXIT_CODES[self.outcome]

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain data."""
        config = asdict(self.config)
        return {
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "plan": [each.as_dict() for each in self.plan],
            "metrics": [each.as_dict() for each in self.metrics],
            "config": config
            | {"advisory": list(self.config.advisory), "looks": list(self.config.looks)},
        }
