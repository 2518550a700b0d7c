"""One metric of two runs: its figures, and what they decide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from llmops_kernel.judge.decision import GateConfig, MetricGate, Outcome
from llmops_kernel.judge.planning import standard_error
from llmops_kernel.judge.stats.intervals import Interval, mean_interval
from llmops_kernel.judge.stats.paired import mcnemar, paired_difference, sign_flip
from llmops_kernel.judge.stats.power import mde, n_needed
from llmops_kernel.judge.stats.sequential import look_levels
from llmops_kernel.judge.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

# Which outcome of a metric is the run's: what makes figures worthless goes first.
WORST: tuple[Outcome, ...] = ("invalid", "budget", "regression", "inconclusive", "pass")


class Comparison:
    """One metric's figures, and then its outcome."""

    def __init__(
        self,
        metric: str,
        now: Tally | None,
        before: Mapping[str, Tally] | None,
        config: GateConfig,
        margin: float | None,
        gated: int,
        clusters: Mapping[str, str],
    ) -> None:
        self.metric, self.config, self.margin = metric, config, margin
        self.advisory = metric in config.advisory
        self.now = now or Tally(metric)
        self.before = (before or {}).get(metric) if margin is not None else None
        self.alpha = config.alpha / gated  # what Holm's strictest step leaves
        self.level = 1 - config.alpha
        self.look: int | None = None
        self.p: float | None = None
        self.p_holm: float | None = None
        self.delta: Interval | None = None
        self.mean: Interval | None = None
        self.old_mean: float | None = None
        self.mde: float | None = None
        self.sd = 0.0
        self.early = ""
        self.invalid = self._look() if config.looks else []
        self.pairs = sorted(self.now.values)
        self.invalid = self.invalid or self._incomparable()
        if self.before is not None:
            self.pairs = [name for name in self.pairs if name in self.before.values]
        if not self.invalid:
            self._measure(clusters)

    def _look(self) -> list[str]:
        """Keep the samples of the look that is reached, and take its level."""
        looks, order = self.config.looks, list(self.now.scores)
        reached = [number for number, size in enumerate(looks) if size <= len(order)]
        names = order[: looks[reached[-1]]] if reached else order
        if self.before is not None:
            if names != list(self.before.scores)[: len(names)]:
                return ["the first samples are not the baseline's, in its order"]
            self.before = self.before.only(names)
        self.now = self.now.only(names)
        if not reached:
            self.early = f"the first look is at {looks[0]} samples, here are {len(order)}"
            return []
        number = reached[-1]
        fractions = tuple(size / looks[-1] for size in looks)
        self.alpha = look_levels(self.alpha, fractions, self.config.spending)[number]
        self.level, self.look = 1 - self.alpha, number + 1
        return []

    def _incomparable(self) -> list[str]:
        runs = [("this run", self.now)]
        if self.margin is not None:
            runs.append(("the baseline", self.before or Tally(self.metric)))
        wrong = []
        for name, run in runs:
            if not run.ids:
                return [f"{name} has no scores"]
            if run.repeated:
                wrong.append(f"{name} has several scores for one sample")
            if len(run.fingerprints) > 1:
                wrong.append(f"{name} mixes judges or prompts")
            missing = sum(n for reason, n in run.reasons.items() if reason != "budget")
            if missing > self.config.max_unscored * len(run.ids):
                wrong.append(f"{name} lacks {missing} of {len(run.ids)} scores")
        if self.before is None:
            return wrong
        if "budget" in self.before.reasons:
            wrong.append("the baseline was cut short by a cap")
        if self.now.ids != self.before.ids:
            new, gone = len(self.now.ids - self.before.ids), len(self.before.ids - self.now.ids)
            wrong.append(f"the samples differ from the baseline's: {new} new, {gone} missing")
        if (self.now.fingerprints, self.now.judges) != (
            self.before.fingerprints,
            self.before.judges,
        ):
            wrong.append("the judge differs from the baseline's")
        return wrong

    def _measure(self, clusters: Mapping[str, str]) -> None:
        # A look that may not find anything yet has an interval without bounds.
        level = min(self.level, 1 - 1e-12)
        own = sorted(self.now.values)
        if own:
            self.mean = mean_interval(
                [self.now.values[name] for name in own],
                clusters=[clusters.get(name, "") for name in own],
                level=level,
                seed=self.config.seed,
            )
        if self.before is None or self.margin is None or len(self.pairs) < 2:
            return
        groups = [clusters.get(name, "") for name in self.pairs]
        new = np.array([self.now.values[name] for name in self.pairs])
        old = np.array([self.before.values[name] for name in self.pairs])
        self.old_mean = float(old.mean())
        self.delta = paired_difference(new, old, clusters=groups, level=level)
        # Standard deviation as if pairs were independent: clusters make it larger.
        self.sd = standard_error(self.delta) * math.sqrt(len(self.pairs))
        flipped = sign_flip(
            new - old + self.margin,
            clusters=groups,
            flips=self.config.flips,
            seed=self.config.seed,
        )
        self.p = flipped.p
        if math.isfinite(self.sd) and self.alpha > 0:
            self.mde = mde(self.sd, len(self.pairs), alpha=self.alpha, power=self.config.power)

    def decided(self) -> MetricGate:
        """Return what is decided, with `p_holm` where it was set meanwhile."""
        outcome, reasons = self._outcome()
        return MetricGate(
            metric=self.metric,
            outcome=outcome,
            reasons=tuple(reasons),
            advisory=self.advisory,
            n=len(self.pairs),
            mean=self.mean,
            baseline_mean=self.old_mean,
            delta=self.delta,
            p=self.p,
            p_holm=self.p_holm if not self.advisory else self.p,
            mde=self.mde,
            n_needed=self._n_needed(),
            margin=self.margin,
            floor=self.config.floors.get(self.metric),
            unscored=self.now.reasons,
            abstained=_share(self.now),
            abstained_before=_share(self.before) if self.before else None,
            look=self.look,
            alpha=self.alpha if self.look else self.config.alpha,
        )

    def _outcome(self) -> tuple[Outcome, list[str]]:
        if self.invalid:
            return "invalid", self.invalid
        if self.early:
            return "inconclusive", [self.early]
        if cut := self.now.reasons.get("budget"):
            return "budget", [f"a cap left {cut} of {len(self.now.ids)} samples unscored"]
        checks = [self._abstentions(), self._floor(), self._loss()]
        outcome = min((each for each, _ in checks), key=WORST.index)
        return outcome, [reason for each, reason in checks if each != "pass"]

    def _abstentions(self) -> tuple[Outcome, str]:
        """Answers that make no claim have no score: a change must not pass by refusing."""
        if self.before is None:
            return "pass", ""
        lost = len(self.now.abstained - self.before.abstained)
        gained = len(self.before.abstained - self.now.abstained)
        rise = (lost - gained) / len(self.now.ids)
        if rise <= self.config.max_abstained_rise or mcnemar(lost, gained) > (
            self.alpha if self.look else self.config.alpha
        ):
            return "pass", ""
        return "regression", f"{lost - gained} more answers make no claim"

    def _floor(self) -> tuple[Outcome, str]:
        floor = self.config.floors.get(self.metric)
        if floor is None:
            return "pass", ""
        if self.mean is None or len(self.now.values) < self.config.min_n:
            return "inconclusive", f"fewer than {self.config.min_n} scores"
        if self.mean.low >= floor:
            return "pass", ""
        if self.mean.high < floor:
            return "regression", f"the mean is under its floor of {floor:g}"
        return "inconclusive", f"the interval of the mean spans its floor of {floor:g}"

    def _loss(self) -> tuple[Outcome, str]:
        if self.margin is None:
            return "pass", ""
        if self.delta is None or self.p is None or len(self.pairs) < self.config.min_n:
            return "inconclusive", f"fewer than {self.config.min_n} pairs"
        p = self.p if self.p_holm is None else self.p_holm
        # Drawn sign patterns cannot show a p-value under 1 / (1 + flips); the interval can.
        alpha = max(self.alpha, 1 / (1 + self.config.flips)) if self.look else self.config.alpha
        if self.delta.high < -self.margin and p <= alpha:
            return "regression", f"the loss is proved to be more than {self.margin:g}"
        if self.config.policy == "noninferiority":
            if self.delta.low > -self.margin:
                return "pass", ""
            return "inconclusive", f"a loss of more than {self.margin:g} is not ruled out"
        if self.look and self.look < len(self.config.looks):
            return self._between()
        wanted = self.config.must_detect
        if wanted is not None and (self.mde is None or self.mde > wanted):
            return "inconclusive", f"a loss of {wanted:g} could not be seen"
        return "pass", ""

    def _between(self) -> tuple[Outcome, str]:
        """Decide a look before the last: a change passes early only if no loss is left possible."""
        assert self.delta is not None
        assert self.look is not None
        assert self.margin is not None
        if self.delta.low > -self.margin:
            return "pass", ""
        looks = self.config.looks
        told = f"look {self.look} of {len(looks)} leaves it open; the next one is at "
        return "inconclusive", f"{told}{looks[self.look]} samples, the last at {looks[-1]}"

    def _n_needed(self) -> int | None:
        """Return the samples it takes to see what the gate is about, at this spread."""
        if self.delta is None or self.margin is None or not 0 < self.sd < math.inf:
            return None
        target = self.config.must_detect or self.margin or abs(self.delta.estimate)
        if target < 1e-6:
            return None
        # The last look's own level is near to what one look would have.
        alpha = self.config.alpha if self.look else self.alpha
        return n_needed(self.sd, target, alpha=alpha, power=self.config.power)


def _share(run: Tally) -> float:
    return len(run.abstained) / len(run.ids) if run.ids else 0.0
