"""What people said, as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.judge.samples import Sample

_GOOD = {"1", "true", "yes", "pass", "passed", "good", "correct", "supported", "faithful",
         "relevant", "useful"}  # fmt: skip
_BAD = {"0", "false", "no", "fail", "failed", "bad", "incorrect", "wrong", "not_mentioned",
        "contradicted", "unsupported", "unfaithful", "irrelevant", "not_useful",
        "hallucinated"}  # fmt: skip


def human_value(sample: Sample, metric: str) -> float | None:
    """Return what a person said of a sample on a metric's own scale; None where nobody did.

    A label for ``faithfulness`` counts for ``faithfulness[ragas]`` too, unless that has one of
    its own.

    Returns:
        The score, or 1 for a label such as "yes" or "supported" and 0 for one such as "no"; None
        for other labels.
    """
    said = sample.human.get(metric)
    if said is None:
        said = sample.human.get(metric.partition("[")[0])
    return None if said is None else _value(said)


def _value(said: Mapping[str, Any]) -> float | None:
    score = said.get("score")
    if score is not None:
        return float(score)
    label = str(said.get("label", "")).strip().lower().replace(" ", "_")
    return 1.0 if label in _GOOD else 0.0 if label in _BAD else None
