"""Where to draw the line: the loosest threshold whose loss is bounded by what was allowed.

Thresholds are tried from the strictest on, each by an exact bound, until the first one fails: this
keeps the chance that the chosen one loses more than allowed at 5 %, however many are tried (fixed
sequence testing, as in Angelopoulos et al., "Learn then Test", 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import MissingExtra

if TYPE_CHECKING:
    from llmops_kernel.routing.frontier import Numbers

ALPHA = 0.05
NEVER = 2.0  # a threshold that no probability reaches
_STEPS = 100  # thresholds that are tried: quantiles of the confidences


@dataclass(frozen=True, slots=True)
class Line:
    """A threshold, and what was found of it on questions it was not learned from.

    Attributes:
        threshold: Confidence from which the small model is chosen; `NEVER` where none held.
        share: Share of questions that go to the small model.
        loss: Mean loss of quality over all questions against the large model.
        bound: Upper bound of that loss (95 %); None where nothing goes to the small model.
    """

    threshold: float
    share: float = 0.0
    loss: float = 0.0
    bound: float | None = None


def draw_line(confidence: Numbers, worse: Numbers, better: Numbers, target: float) -> Line:
    """Return the loosest threshold whose loss over all questions is at most ``target``.

    The loss is (share of questions where the small model is worse) minus (share where it is
    better), among those sent to it, over all questions. The first is bounded from above and the
    second from below (Clopper and Pearson, 1934), each at half of 5 %.

    Args:
        confidence: Of each question, from a model that did not see it.
        worse: Whether the small model's answer is worse than the large one's.
        better: Whether it is better.
        target: The loss allowed (0.02 are two points of a hundred).
    """
    return _first_fit(confidence, worse, better, target, among_sent=False)


def draw_error_line(confidence: Numbers, wrong: Numbers, target: float) -> Line:
    """Return the loosest threshold with at most ``target`` wrong among those it lets through."""
    return _first_fit(confidence, wrong, [False] * len(wrong), target, among_sent=True)


def _first_fit(
    confidence: Numbers,
    worse: Numbers,
    better: Numbers,
    target: float,
    *,
    among_sent: bool,
) -> Line:
    import numpy as np

    values = np.asarray(confidence, float)
    bad, good = np.asarray(worse, bool), np.asarray(better, bool)
    best = Line(NEVER)
    least = _least(target, len(values)) / len(values) if among_sent else 0.0
    for threshold in _thresholds(values, least):
        sent = values >= threshold
        count = int(sent.sum())
        total = count if among_sent else len(values)
        lost, won = int((bad & sent).sum()), int((good & sent).sum())
        bound = upper(lost, total, ALPHA / 2 if won else ALPHA)
        if won:
            bound -= lower(won, total, ALPHA / 2)
        if bound > target:
            break
        best = Line(threshold, count / len(values), (lost - won) / total, bound)
    return best


def _least(target: float, count: int) -> float:
    """Return how many to let through at first: so many that a few errors can be borne.

    Where there are not three times as many as no error at all would need, half of them.
    """
    flawless = math.log(ALPHA) / math.log1p(-min(max(target, 1e-6), 0.999))
    return min(3.0 * flawless, max(flawless, 0.5 * count))


def _thresholds(values: Any, least: float) -> list[float]:
    """Return thresholds from strict to loose; the first lets at least this share through."""
    import numpy as np

    shares = np.linspace(1.0, 0.0, _STEPS + 1)[1:]
    kept = [share for share in shares if 1.0 - share >= least]
    return list(dict.fromkeys(np.quantile(values, kept).tolist())) if kept else []


def upper(events: int, total: int, alpha: float) -> float:
    """Return the one-sided upper Clopper-Pearson bound of a share."""
    if events >= total:
        return 1.0
    return float(learning("scipy.special").betaincinv(events + 1, total - events, 1.0 - alpha))


def lower(events: int, total: int, alpha: float) -> float:
    """Return the one-sided lower Clopper-Pearson bound of a share."""
    return 1.0 - upper(total - events, total, alpha)


def learning(module: str) -> Any:
    """Import what only learning needs.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra("routing", "scikit-learn") from error
