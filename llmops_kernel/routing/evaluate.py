"""A route held against a table: what it decides, and what that costs in quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.context import CallContext
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.errors import UsageProblem
from llmops_kernel.routing.fitting import learned_from
from llmops_kernel.routing.frontier import Frontier, Point, bootstrap_area, frontier
from llmops_kernel.routing.intent import Intent
from llmops_kernel.routing.learned import Learned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.routing.router import Router
    from llmops_kernel.routing.table import Row, Table

_BY_ANSWERS = ("cascade", "fallback")
_ROUNDS = 1_000
_OK = 0.5


@dataclass(frozen=True)
class Evaluation:
    """What a route does on the questions of a table.

    Attributes:
        rows: How many questions.
        share_small: Share that does not go to the large model.
        quality: Mean quality of what would be served (0 to 1).
        small_quality: Mean quality of the small model alone.
        large_quality: Mean quality of the large model alone.
        loss: Loss of quality against the large model alone.
        loss_interval: Its 95 % interval (percentile bootstrap over questions).
        recovered: Share of the gap between the two models that is recovered; None without a gap.
        frontier: Cost against quality; only its ends where the route has no confidence.
        area_interval: 95 % interval of the frontier's area.
        known: How many of the questions the route was learned from: on them it looks too good.
    """

    rows: int
    share_small: float
    quality: float
    small_quality: float
    large_quality: float
    loss: float
    loss_interval: tuple[float, float]
    recovered: float | None
    frontier: Frontier
    area_interval: tuple[float, float] | None
    known: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**facts, "frontier": self.frontier.as_dict()}

    def notes(self) -> list[str]:
        """Return in words what a person should know."""
        low, high = self.loss_interval
        said = [
            f"On {self.rows:,} questions: {self.share_small:.1%} not to the large model, quality "
            f"{self.quality:.4f} (small {self.small_quality:.4f}, large {self.large_quality:.4f}), "
            f"loss {self.loss:.4f} [{low:.4f}, {high:.4f}]"
        ]
        if self.frontier.area is not None and self.area_interval is not None:
            low, high = self.area_interval
            said.append(
                f"Area under the curve of recovery {self.frontier.area:.3f} [{low:.3f}, "
                f"{high:.3f}]; at random it is 0.5"
            )
        if self.known:
            said.append(
                f"The route was learned from {self.known:,} of these questions: on them it looks "
                "better than it is. What learning found was measured on questions held out"
            )
        return said


def evaluate(router: Router, table: Table) -> Evaluation:
    """Return what a route does on a table, one decision for each question.

    Raises:
        UsageProblem: The route decides by answers, which no table holds, or the table has neither
            verdicts nor (for a route by intent) intents.
    """
    import numpy as np

    if router.kind in _BY_ANSWERS:
        raise UsageProblem(
            f"A {router.kind} decides by answers, and a table holds none",
            hint="llmops route report without --from tells what it has done",
        )
    rows = table.rows
    sure, sent, right = _decisions(router, rows)
    small, large = _qualities(rows, right)
    served = np.where(sent, small, large)
    lost = large - served
    threshold = None
    curve: Frontier
    interval = None
    costs = _costs(rows)
    if sure is not None and isinstance(router, Learned | Intent):
        threshold = router.saved.threshold
        curve = frontier(sure, small, large, threshold=threshold, **costs)
        interval = bootstrap_area(sure, small, large, rounds=_ROUNDS)
    else:
        ends = (Point(0.0, float(small.mean())), Point(1.0, float(large.mean())))
        curve = Frontier(ends, Point(1.0 - float(sent.mean()), float(served.mean())))
    gap = float(large.mean() - small.mean())
    return Evaluation(
        len(rows),
        float(sent.mean()),
        float(served.mean()),
        float(small.mean()),
        float(large.mean()),
        float(lost.mean()),
        _interval(lost),
        float((served.mean() - small.mean()) / gap) if abs(gap) > 1e-12 else None,
        curve,
        interval,
        learned_from(rows, router.saved.evidence) if isinstance(router, Learned | Intent) else 0,
    )


def _decisions(router: Router, rows: Sequence[Row]) -> tuple[Any, Any, Any]:
    """Return confidences (or None), who goes to the small model, and whether the intent is right.

    Decided as in production, one question at a time.
    """
    import numpy as np

    context = CallContext("evaluate")
    large = router.models[-1]
    sure: list[float] = []
    sent: list[bool] = []
    right: list[bool | None] = []
    for row in rows:
        message = {"role": "user", "content": row.text}
        decision = router.decide(ChatRequest("route", (message,)), context)
        sent.append(decision.model != large)
        if isinstance(router, Intent):
            label, share = router.intent(row.text)
            wanted = label in router.saved.chosen
            sure.append(share if wanted else 0.0)
            right.append(wanted and label == row.intent if row.intent else None)
        else:
            right.append(None)
            if decision.confidence is not None:
                sure.append(decision.confidence)
            elif isinstance(router, Learned):  # no text to decide by
                sure.append(0.0)
    known = np.array(sure) if len(sure) == len(rows) else None
    return known, np.array(sent), right


def _qualities(rows: Sequence[Row], right: Sequence[bool | None]) -> tuple[Any, Any]:
    """Return the quality of both models on each question; a large one not judged is right."""
    import numpy as np

    if all(row.small_ok is not None for row in rows):
        small = [float((row.small_ok or 0.0) >= _OK) for row in rows]
    elif all(each is not None for each in right):
        small = [float(bool(each)) for each in right]
    else:
        raise UsageProblem(
            "The table does not say what the small model got right",
            hint="Rows with text and small_ok, or with text and intent for a route by intent",
        )
    large = [float(row.large_ok is None or row.large_ok >= _OK) for row in rows]
    return np.array(small), np.array(large)


def _costs(rows: Sequence[Row]) -> dict[str, Any]:
    if any(row.small_usd is None or row.large_usd is None for row in rows):
        return {}
    return {
        "small_usd": [row.small_usd for row in rows],
        "large_usd": [row.large_usd for row in rows],
    }


def _interval(lost: Any) -> tuple[float, float]:
    import numpy as np

    draw = np.random.default_rng(0)
    means = [float(lost[draw.integers(0, len(lost), len(lost))].mean()) for _ in range(_ROUNDS)]
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
