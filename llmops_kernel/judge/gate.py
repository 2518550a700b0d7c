"""Whether a change may pass: paired statistics to an outcome, and an exit code.

An outcome other than "pass" never rests on luck alone: a regression is a proved one, and what
cannot be decided is called that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.comparison import WORST, Comparison
from llmops_kernel.judge.decision import GateConfig, GateResult, MetricGate, Outcome
from llmops_kernel.judge.planning import margins_of, plan, tested_of
from llmops_kernel.judge.stats.multiple import holm
from llmops_kernel.judge.tally import tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

__all__ = ["GateConfig", "GateResult", "MetricGate", "decide"]


def decide(
    current: Sequence[Score],
    baseline: Sequence[Score] | None,
    config: GateConfig | None = None,
    *,
    samples: Iterable[Sample] = (),
) -> GateResult:
    """Decide whether a change may pass.

    In this order: a run that is not comparable or lacks more scores than allowed is "invalid"; one
    that a cap cut short is "budget"; a proved loss beyond the margin, a mean proved to lie under
    its floor, or answers that prove to abstain more often are a "regression"; too few pairs, a
    floor or a margin that the interval spans, are "inconclusive".

    With ``looks`` in the configuration only the first samples count, as many as the last look that
    the run has reached, in the baseline's order; a look before the last one decides at a level of
    its own (`look_levels`) and leaves open what that does not prove. Nobody gains by looking more
    often, or at other numbers.

    Args:
        current: Scores of the change.
        baseline: Scores of what it is compared with; None to check floors only.
        config: What it must not do.
        samples: The samples; their clusters are not torn apart.

    Raises:
        UsageProblem: There is neither baseline nor floor.
    """
    config = config or GateConfig()
    if baseline is None and not config.floors:
        raise UsageProblem(
            "A gate needs a baseline or a floor", hint="--baseline main.json, or floors in --config"
        )
    now, before = tally(current), None if baseline is None else tally(baseline)
    margins = {} if before is None else margins_of(before, config)
    samples = tuple(samples)
    clusters = {sample.id: sample.cluster for sample in samples}
    names = [*margins, *(name for name in config.floors if name not in margins)]
    gated = tested_of(margins, config)
    found = [
        Comparison(name, now.get(name), before, config, margins.get(name), gated, clusters)
        for name in names
    ]
    planned = () if baseline is None else plan(baseline, config, samples=samples)
    # Advisory metrics stop nothing, so they take nothing from the others' level either. With looks
    # each metric has its share of alpha for itself, and Holm has nothing to add.
    tested = [each for each in found if each.p is not None and not each.advisory]
    tested = [] if config.looks else tested
    adjusted = holm([each.p for each in tested if each.p is not None])
    for each, p_holm in zip(tested, adjusted, strict=True):
        each.p_holm = p_holm
    metrics = tuple(each.decided() for each in found)
    if not metrics:
        reasons: tuple[str, ...] = ("there is nothing to compare",)
        return GateResult("invalid", metrics, reasons, config, planned)
    deciding = [each.outcome for each in metrics if not each.advisory]
    outcome: Outcome = min(deciding, key=WORST.index, default="pass")
    told = tuple(f"{m.metric}: {reason}" for m in metrics for reason in m.reasons)
    return GateResult(outcome, metrics, told, config, planned)
