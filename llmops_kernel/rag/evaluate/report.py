"""The result of an evaluation: means with intervals, by mode and by kind of question."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.rag.evaluate.questions import BadRow

_BLOCK = 50  # resamples drawn at once
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over questions with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    questions: int


@dataclass(frozen=True, slots=True)
class QuestionScores:
    """The scores of one question in one mode; see `metrics` for their meaning.

    Attributes:
        recall: Share of gold passages found in the first k results.
        hit: 1 if any was found in the first k.
        ndcg: At 10.
        mrr: Reciprocal rank of the first result, of 10, that finds gold.
        token_recall: None, as the other token measures, where gold is a whole document.
        context_tokens: Tokens of the first k results, as they are packed for a model.
        passages: How many results those are.
        first: The source of the best result; "" without one.
    """

    id: str
    kind: str
    question: str
    recall: float
    hit: float
    ndcg: float
    mrr: float
    token_recall: float | None
    token_precision: float | None
    token_iou: float | None
    context_tokens: float
    passages: float
    first: str


METRICS = (
    "recall",
    "hit",
    "ndcg",
    "mrr",
    "token_recall",
    "token_precision",
    "token_iou",
    "context_tokens",
    "passages",
)
assert set(METRICS) <= {field.name for field in fields(QuestionScores)}


@dataclass(frozen=True, slots=True)
class ModeScores:
    """The scores of one mode.

    Attributes:
        mode: "dense", "bm25" or "hybrid".
        metrics: Means by name (`METRICS`); one that applies to no question is left out.
        kinds: Means by kind of question, by name.
        seconds: Wall time of all searches.
        questions: The scores of each question, in the order of the file.
    """

    mode: str
    metrics: Mapping[str, Interval]
    kinds: Mapping[str, Mapping[str, Interval]]
    seconds: float
    questions: tuple[QuestionScores, ...]

    def as_dict(self, *, details: bool = False) -> dict[str, Any]:
        """Return the scores as plain data; with each question's own on demand."""
        facts: dict[str, Any] = {
            "mode": self.mode,
            "metrics": {name: asdict(value) for name, value in self.metrics.items()},
            "kinds": {
                kind: {name: asdict(value) for name, value in values.items()}
                for kind, values in self.kinds.items()
            },
            "seconds": round(self.seconds, 3),
        }
        if details:
            facts["questions"] = [asdict(each) for each in self.questions]
        return facts


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one mode is than another, question by question (paired bootstrap)."""

    metric: str
    better: str
    than: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What an evaluation found.

    Attributes:
        index: The index.
        k: Results that recall, hit and token measures look at.
        budget: Tokens that results must fit; None without one.
        scored: Questions that were scored.
        unanswerable: Questions without gold; they are not scored.
        bad: Rows that could not be scored.
        modes: Scores by mode.
        differences: Hybrid beside its parts.
    """

    index: str
    k: int
    budget: int | None
    scored: int
    unanswerable: int
    bad: tuple[BadRow, ...]
    modes: tuple[ModeScores, ...]
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether every row could be scored."""
        return not self.bad

    def mode(self, name: str) -> ModeScores:
        """Return the scores of a mode (raises `KeyError`)."""
        for each in self.modes:
            if each.mode == name:
                return each
        raise KeyError(name)

    def as_dict(self, *, details: bool = False) -> dict[str, Any]:
        """Return the report as plain data; with each question's scores on demand."""
        return {
            "index": self.index,
            "k": self.k,
            "budget": self.budget,
            "scored": self.scored,
            "unanswerable": self.unanswerable,
            "bad": [asdict(each) for each in self.bad],
            "confidence": CONFIDENCE,
            "modes": [each.as_dict(details=details) for each in self.modes],
            "differences": [asdict(each) for each in self.differences],
        }


def intervals(scores: Sequence[QuestionScores], *, draws: int, seed: int) -> dict[str, Interval]:
    """Return the mean of each metric over questions, with its interval."""
    found: dict[str, Interval] = {}
    for name in METRICS:
        values = [getattr(each, name) for each in scores]
        held = [value for value in values if value is not None]
        if held:
            found[name] = interval(held, draws=draws, seed=seed)
    return found


def interval(values: Sequence[float], *, draws: int, seed: int) -> Interval:
    """Return a mean with its percentile bootstrap interval.

    Args:
        values: One for each question, one at least.
        draws: Resamples; 0 gives the mean alone, as an interval of no width.
        seed: The same seed and values give the same interval.
    """
    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if draws < 1:
        return Interval(mean, mean, mean, len(array))
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            array[generator.integers(0, len(array), (min(_BLOCK, draws - at), len(array)))].mean(1)
            for at in range(0, draws, _BLOCK)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high), len(array))
