"""Learns which intents are simple: a route by intent, from texts with their intents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.routing.bounds import NEVER, Line, draw_error_line
from llmops_kernel.routing.fitting import (
    calibration_error,
    facts_of,
    fitted,
    folds,
    origin,
    scores_of,
    softmax,
)
from llmops_kernel.routing.frontier import frontier
from llmops_kernel.routing.saved import Saved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.embed import Embedder
    from llmops_kernel.routing.frontier import Frontier
    from llmops_kernel.routing.table import Row

_LEAST = 5  # questions of an intent
# How much the weights may grow, as C of scikit-learn times the number of rows.
_GROWTH = 100.0


def learn_intents(
    rows: Sequence[Row],
    read: Any,
    small: str,
    large: str,
    embedder: Embedder,
    target: float,
    intents: Sequence[str] | None,
    left_out: Mapping[str, int],
) -> tuple[Saved, Line, Frontier, tuple[str, ...]]:
    """Learn a route by intent: see `training.learn`."""
    import numpy as np

    names = np.array([row.intent for row in rows])
    labels, counts = np.unique(names, return_counts=True)
    if "" in labels:
        raise UsageProblem("Some rows have no intent", hint="Give each row one, or leave it out")
    if len(labels) < 2 or counts.min() < _LEAST:
        rare = str(labels[counts.argmin()])
        raise UsageProblem(
            "Each intent needs a few questions, and there must be two intents",
            detail=f"{rare!r} has {counts.min()}, and {_LEAST} are the least",
        )
    chosen = [str(label) for label in labels] if intents is None else list(dict.fromkeys(intents))
    for name in chosen:
        if name not in labels:
            raise UsageProblem(
                f"The table has no intent {name!r}{nearest(name, [str(one) for one in labels])}"
            )
    codes = np.searchsorted(labels, names)
    scores = np.zeros((len(rows), len(labels)))
    for train, test in folds(rows, codes):
        weights = fitted(read[train], codes[train], _GROWTH / len(train), len(labels))
        scores[test] = scores_of(weights, read[test])
    heat = _temperature(scores, codes)
    shares = softmax(scores / heat)
    guess = shares.argmax(axis=1)
    wanted = np.isin(labels[guess], chosen)
    sure = np.where(wanted, shares.max(axis=1), 0.0)
    wrong = guess != codes
    line = draw_error_line(sure[wanted], wrong[wanted], target) if wanted.any() else Line(NEVER)
    sent = wanted & (sure >= line.threshold)
    line = Line(line.threshold, float(sent.mean()), line.loss, line.bound)
    right = np.where(wrong, 0.0, 1.0) * wanted
    seen = frontier(sure, right, np.ones(len(rows)), threshold=line.threshold)
    notes = [
        "The large model is taken for right; the small one for right where the intent is",
    ]
    if line.threshold == NEVER:
        notes.append("Not enough evidence for any threshold: everything goes to the large model")
    weights = fitted(read, codes, _GROWTH / len(rows), len(labels))
    evidence = {
        **origin(rows, left_out, names.tolist()),
        "intents": len(labels),
        "accuracy": float((~wrong).mean()),
        "calibration_error": calibration_error(shares.max(axis=1), ~wrong),
        "target_loss": target,
        **facts_of(line),
        "frontier": seen.as_dict(),
        "notes": notes,
    }
    saved = Saved(
        "intent", small, large, embedder.id, weights, (heat,), line.threshold,
        tuple(str(label) for label in labels), tuple(chosen), evidence,
    )  # fmt: skip
    return saved, line, seen, tuple(notes)


def _temperature(scores: Any, codes: Any) -> float:
    """Return the temperature under which the true intents are likeliest (Guo et al., 2017)."""
    import numpy as np

    def unlikely(heat: float) -> float:
        shares = softmax(scores / heat)[np.arange(len(codes)), codes]
        return -float(np.log(np.maximum(shares, 1e-12)).mean())

    # It has one minimum: two passes over a grid find it closely enough.
    coarse = min(np.geomspace(0.1, 10.0, 41), key=unlikely)
    return float(min(np.linspace(coarse * 0.9, coarse * 1.1, 21), key=unlikely))
