"""Whether a shorter prompt may replace a longer one: only if nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from llmops_kernel.display import View
    from llmops_kernel.judge.decision import GateResult
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

    Answering = Callable[[Sample], str]
    Judging = Callable[[Sample, str], float | None]

Verdict = Literal["accepted", "refused", "inconclusive", "invalid"]

MARGIN = 0.03
METRIC = "quality"
_VERDICTS: dict[str, Verdict] = {
    "pass": "accepted",
    "regression": "refused",
    "inconclusive": "inconclusive",
}


@dataclass(frozen=True)
class Acceptance:
    """What was decided of a change.

    Attributes:
        verdict: "accepted" (the loss is proved to be less than the margin), "refused" (proved to
            be more), "inconclusive" (these samples cannot tell) or "invalid".
        gate: The comparison, with its interval.
        answers: The answers before and after, by sample id.
    """

    verdict: Verdict
    gate: GateResult
    answers: dict[str, tuple[str, str]]

    @property
    def ok(self) -> bool:
        """Whether the change may be made; what is inconclusive may not."""
        return self.verdict == "accepted"

    def view(self) -> View:
        """Build the table of the comparison."""
        from llmops_kernel.display.judge import comparison_view

        return comparison_view(
            self.gate, current="Compressed", baseline="the original", decides=True
        )

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the table of the comparison, and the figures as metadata."""
        return self.view()._repr_mimebundle_(include, exclude)

    def __repr__(self) -> str:
        return f"Acceptance({self.verdict!r})"


def accept(
    before: Answering,
    after: Answering,
    samples: Iterable[Sample],
    judge: Judging,
    *,
    margin: float = MARGIN,
    alpha: float = 0.05,
    seed: int = 0,
) -> Acceptance:
    """Decide whether a change may be made, by a paired test of non-inferiority.

    Each sample is answered both ways, and both answers are judged; the change passes where the
    lower bound of the mean difference lies above minus the margin. An answer that cannot be judged
    (None) is counted as missing, and never made up.

    Args:
        before: Answers a sample with the prompt as it is.
        after: Answers it with the changed prompt.
        samples: What to answer; those of one cluster are not counted as independent.
        judge: Returns how good an answer is, 0 to 1.
        margin: The loss that is tolerated (0.03: three points).
        alpha: Level of the test.
        seed: Draws the permutations.

    Raises:
        UsageProblem: There are no samples, two have one id, or a judgement is out of bounds.
    """
    from llmops_kernel.judge.gate import GateConfig, decide

    chosen = list(samples)
    if not chosen or len({each.id for each in chosen}) != len(chosen):
        raise UsageProblem("A change is judged on samples with ids of their own")
    answers = {each.id: (before(each), after(each)) for each in chosen}
    old = [_score(each, answers[each.id][0], judge) for each in chosen]
    new = [_score(each, answers[each.id][1], judge) for each in chosen]
    config = GateConfig(margins={METRIC: margin}, policy="noninferiority", alpha=alpha, seed=seed)
    gate = decide(new, old, config, samples=chosen)
    return Acceptance(_VERDICTS.get(gate.outcome, "invalid"), gate, answers)


def _score(sample: Sample, answer: str, judge: Judging) -> Score:
    from llmops_kernel.judge.scores import Score

    value = judge(sample, answer)
    if value is not None and not 0 <= value <= 1:
        raise UsageProblem("A judge's score lies between 0 and 1", detail=f"got {value}")
    name = getattr(judge, "__name__", type(judge).__name__)
    return Score(sample.id, METRIC, name, value, "error" if value is None else None)
