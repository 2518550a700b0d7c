"""Fits linear models on features, in folds, with scikit-learn: what all learned routes share."""

from __future__ import annotations

import base64
import hashlib
import warnings
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.routing.bounds import learning
from llmops_kernel.routing.saved import Weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.routing.bounds import Line
    from llmops_kernel.routing.table import Row

LEAST_ROWS = 50
_FOLDS = 5
_MARK = 6  # bytes
_ABSENT = -30.0  # the score of an outcome that the table never shows


def folds(rows: Sequence[Row], outcome: Any) -> list[tuple[Any, Any]]:
    """Return (train, test) of each fold; the same words are never on both sides."""
    groups = [" ".join(row.text.lower().split()) for row in rows]
    numbers = {text: number for number, text in enumerate(dict.fromkeys(groups))}
    if len(numbers) < LEAST_ROWS:
        raise UsageProblem(
            "There are too few different questions to learn from",
            detail=f"{len(numbers)}, and {LEAST_ROWS} are the least",
        )
    split = learning("sklearn.model_selection").StratifiedGroupKFold(
        _FOLDS, shuffle=True, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an outcome rarer than there are folds
        return list(split.split(outcome, outcome, [numbers[text] for text in groups]))


def fitted(read: Any, codes: Any, growth: float, outputs: int) -> Weights:
    """Fit a logistic regression on standardised features."""
    import numpy as np

    mean, scale = read.mean(axis=0), read.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    model = learning("sklearn.linear_model").LogisticRegression(C=growth, max_iter=500)
    # The steps are small: threads that wait for each other would take longer than one alone.
    alone = learning("threadpoolctl").threadpool_limits(1)
    with alone, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # close to the optimum is close enough: folds decide
        model.fit((read - mean) / scale, codes)
    matrix = np.zeros((outputs, read.shape[1]))
    bias = np.full(outputs, _ABSENT)
    if len(model.classes_) == 2:  # one score, for the second against the first
        bias[model.classes_[0]] = 0.0
        matrix[model.classes_[1]], bias[model.classes_[1]] = model.coef_[0], model.intercept_[0]
    else:
        matrix[model.classes_], bias[model.classes_] = model.coef_, model.intercept_
    return Weights(mean, scale, matrix, bias)


def shares_of(weights: Weights, read: Any) -> Any:
    """Return probabilities of the outputs for rows of features, shape (rows, outputs)."""
    return softmax(scores_of(weights, read))


def scores_of(weights: Weights, read: Any) -> Any:
    """Return the outputs for rows of features, shape (rows, outputs)."""
    return ((read - weights.mean) / weights.scale) @ weights.matrix.T + weights.bias


def softmax(scores: Any) -> Any:
    """Return shares of each row that add up to 1."""
    import numpy as np

    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)


def origin(
    rows: Sequence[Row], left_out: Mapping[str, int], outcomes: Sequence[str]
) -> dict[str, Any]:
    """Return what a route was learned from: its size, a hash of texts and outcomes, and marks.

    ``texts`` holds a mark of each question, so that a report can tell which ones were known.
    """
    digest = hashlib.sha256()
    for row, outcome in zip(rows, outcomes, strict=True):
        digest.update(f"{len(row.text)}:{row.text}\0{outcome}\0".encode("utf-8", "surrogatepass"))
    return {"rows": len(rows), "left_out": dict(left_out), "data": digest.hexdigest()[:32],
            "texts": base64.b64encode(b"".join(map(mark, rows))).decode()}  # fmt: skip


def mark(row: Row) -> bytes:
    """Return what a question is known by again: 6 bytes of its hash."""
    return hashlib.sha256(row.text.encode("utf-8", "surrogatepass")).digest()[:_MARK]


def learned_from(rows: Sequence[Row], evidence: Mapping[str, Any]) -> int:
    """Return how many questions a route was learned from; 0 where its file does not say."""
    try:
        told = base64.b64decode(evidence["texts"], validate=True)
    except (KeyError, TypeError, ValueError):
        return 0
    marks = {told[place : place + _MARK] for place in range(0, len(told), _MARK)}
    return sum(mark(row) in marks for row in rows)


def facts_of(line: Line) -> dict[str, Any]:
    """Return a line as JSON-like data."""
    return {"share_small": line.share, "loss": line.loss, "loss_bound": line.bound}


def calibration_error(sure: Any, good: Any, bins: int = 10) -> float:
    """Return the mean gap between confidence and share of good ones, over bins of equal size."""
    import numpy as np

    order = np.argsort(sure)
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(float(sure[part].mean() - good[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(sure)
