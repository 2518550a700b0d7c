"""Learns routes from tables, with scikit-learn; what it learns runs on numpy alone.

Every figure that a threshold rests on comes from folds that were not learned from. Questions of
the same words stay in one fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.routing.bounds import NEVER, Line, draw_line, learning
from llmops_kernel.routing.features import features
from llmops_kernel.routing.fitting import (
    LEAST_ROWS,
    calibration_error,
    facts_of,
    fitted,
    folds,
    origin,
    shares_of,
)
from llmops_kernel.routing.frontier import Frontier, frontier
from llmops_kernel.routing.intents import learn_intents
from llmops_kernel.routing.saved import Saved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.table import Row, Table

_OK = 0.5  # a verdict from here on counts as good enough
_WORSE, _SAME, _BETTER = 0, 1, 2
# How much the weights may grow, as C of scikit-learn times the number of rows: chosen by folds.
_GROWTH = (0.5, 2.0, 5.0, 20.0)


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        saved: The route, ready to be written.
        line: The threshold, and what was found of it.
        frontier: Cost against quality, on questions that were not learned from.
        notes: What a person should know.
    """

    saved: Saved
    line: Line
    frontier: Frontier
    notes: tuple[str, ...]


def learn(
    table: Table,
    *,
    small: str,
    large: str,
    embedder: Embedder,
    target_loss: float = 0.02,
    intents: Sequence[str] | None = None,
    read: Any = None,
) -> Learned:
    """Learn a route from a table.

    Args:
        table: Questions with verdicts on the small model's answers, or with intents.
        small: The model for what is simple.
        large: The model for everything else.
        embedder: Reads the questions; the same one must be there when the route decides.
        target_loss: Loss of quality that is allowed: over all calls for verdicts; for intents,
            the share of wrong ones among those sent to the small model.
        intents: The intents that go to the small model (all, when the table has no verdicts and
            none are named).
        read: The features of the questions, where they have been read already.

    Raises:
        UsageProblem: Too few questions, an unknown intent, or one model twice.
        MissingExtra: scikit-learn is not installed.
    """
    if small == large:
        raise UsageProblem("The small and the large model are the same", hint="Name two models")
    if not 0.0 < target_loss < 1.0:
        raise UsageProblem("--target-loss must be between 0 and 1", hint="--target-loss 0.02")
    rows = table.rows
    judged = all(row.small_ok is not None for row in rows)
    if len(rows) < LEAST_ROWS:
        raise UsageProblem(
            "There are too few questions to learn from",
            detail=f"{len(rows)}, and {LEAST_ROWS} are the least",
        )
    learning("sklearn")
    if read is None:
        read = features([row.text for row in rows], embedder)
    if intents is not None or not judged:
        return Learned(
            *learn_intents(rows, read, small, large, embedder, target_loss, intents, table.left_out)
        )
    return _verdicts(rows, read, small, large, embedder, target_loss, table.left_out)


def _verdicts(
    rows: Sequence[Row],
    read: Any,
    small: str,
    large: str,
    embedder: Embedder,
    target: float,
    left_out: Mapping[str, int],
) -> Learned:
    import numpy as np

    notes = []
    if any(row.large_ok is None for row in rows):
        notes.append("The large model's answers were not judged everywhere: taken for right there")
    good = np.array([(row.small_ok or 0.0) >= _OK for row in rows])
    better = np.array([row.large_ok is None or row.large_ok >= _OK for row in rows])
    outcome = np.where(good == better, _SAME, np.where(good, _BETTER, _WORSE))
    if len(set(outcome.tolist())) < 2:
        raise UsageProblem(
            "Both models are right on the same questions: there is nothing to learn",
            hint="Use the cheaper one, or judge more questions",
        )
    growth, gains = _best_growth(read, outcome, folds(rows, outcome))
    slope, offset = _platt(gains, outcome != _WORSE)
    sure = 1.0 / (1.0 + np.exp(-(slope * gains + offset)))
    line = draw_line(sure, outcome == _WORSE, outcome == _BETTER, target)
    costs = _costs(rows)
    seen = frontier(
        sure, good.astype(float), better.astype(float), threshold=line.threshold, **costs
    )
    weights = fitted(read, outcome, growth / len(rows), outputs=3)
    if line.threshold == NEVER:
        notes.append("Not enough evidence for any threshold: everything goes to the large model")
    evidence = {
        **origin(rows, left_out, [str(kind) for kind in outcome]),
        "small_quality": float(good.mean()),
        "large_quality": float(better.mean()),
        "target_loss": target,
        "growth": growth,
        "calibration_error": calibration_error(sure, outcome != _WORSE),
        **facts_of(line),
        "frontier": seen.as_dict(),
        "notes": notes,
    }
    saved = Saved(
        "learned", small, large, embedder.id, weights, (slope, offset), line.threshold,
        evidence=evidence,
    )  # fmt: skip
    return Learned(saved, line, seen, tuple(notes))


def _best_growth(read: Any, outcome: Any, parts: Any) -> tuple[float, Any]:
    """Return the growth whose probabilities are likeliest on other folds, and its gains there."""
    import numpy as np

    found = []
    for growth in _GROWTH:
        shares = np.full((len(outcome), 3), 1e-9)
        for train, test in parts:
            weights = fitted(read[train], outcome[train], growth / len(train), outputs=3)
            shares[test] = shares_of(weights, read[test])
        likely = np.log(np.maximum(shares[np.arange(len(outcome)), outcome], 1e-9)).mean()
        found.append((float(likely), growth, shares[:, _BETTER] - shares[:, _WORSE]))
    best = max(found, key=lambda each: each[0])
    return best[1], best[2]


def _platt(score: Any, good: Any) -> tuple[float, float]:
    """Return slope and offset of the probability of being good enough (Platt, 1999)."""
    model = learning("sklearn.linear_model").LogisticRegression(C=1e6, max_iter=1_000)
    model.fit(score.reshape(-1, 1), good)
    # A falling curve would turn the order round: the scores then say nothing.
    return max(float(model.coef_[0, 0]), 0.0), float(model.intercept_[0])


def _costs(rows: Sequence[Row]) -> dict[str, list[float]]:
    if any(row.small_usd is None or row.large_usd is None for row in rows):
        return {}
    return {
        "small_usd": [row.small_usd or 0.0 for row in rows],
        "large_usd": [row.large_usd or 0.0 for row in rows],
    }
