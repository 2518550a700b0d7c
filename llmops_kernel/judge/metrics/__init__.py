"""What is measured: one file for each family of metrics.

Every metric names its convention where the field has several, stores the verdicts its value was
computed from, and gives no value where it has none. `metrics_of` reads names like
``faithfulness[deepeval]``; `rescore` turns a stored faithfulness into another convention.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.judge.metrics.base import Ask, Finding, Metric
    from llmops_kernel.judge.metrics.criteria import Criteria, Rubric
    from llmops_kernel.judge.metrics.faithfulness import Faithfulness, faithfulness_of, rescore
    from llmops_kernel.judge.metrics.pairwise import Pairwise, consistency_rate
    from llmops_kernel.judge.metrics.registry import metric_names, metrics_of
    from llmops_kernel.judge.metrics.triad import Triad

_HOMES = {
    "Ask": "base",
    "Criteria": "criteria",
    "Faithfulness": "faithfulness",
    "Finding": "base",
    "Metric": "base",
    "Pairwise": "pairwise",
    "Rubric": "criteria",
    "Triad": "triad",
    "consistency_rate": "pairwise",
    "faithfulness_of": "faithfulness",
    "metric_names": "registry",
    "metrics_of": "registry",
    "rescore": "faithfulness",
}

__all__ = [
    "Ask",
    "Criteria",
    "Faithfulness",
    "Finding",
    "Metric",
    "Pairwise",
    "Rubric",
    "Triad",
    "consistency_rate",
    "faithfulness_of",
    "metric_names",
    "metrics_of",
    "rescore",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
