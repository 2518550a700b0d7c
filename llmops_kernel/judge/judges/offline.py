"""The offline judge: heuristics under honest names, no model and no person."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.judges.protocol import Ruling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.judges.protocol import Via
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.prompts.text import Task

OFFLINE = "offline-heuristic@2"
BADGE = "offline heuristic, not an LLM or human judgement"
SIGNALS = ("lexical_support", "entity_consistency", "embedding_relevance")
_MEASURED = Path(__file__).with_name("offline_measured.json")
_CLOSE = 0.02


class OfflineJudge:
    """Computes `lexical_support`, `entity_consistency` and `embedding_relevance`.

    These are no faithfulness and no relevance: `measured` says how often they agree with people.
    They are the same at every run, cost nothing, and are good for tests of notebooks and for
    sending what looks worst to a real judge first.
    """

    id = OFFLINE
    params: dict[str, Any] = {}  # noqa: RUF012 - there are none
    loop = None
    simulated = False
    badge = BADGE

    def refuse(self, metrics: Sequence[Metric]) -> None:
        """Raise `UsageProblem` for metrics that need a judge of language."""
        wrong = [metric.name for metric in metrics if metric.judged]
        if wrong:
            raise UsageProblem(
                f"The offline judge cannot judge {wrong[0]}",
                detail=f"it computes {', '.join(SIGNALS)}",
                hint="Take those, or give a model as the judge",
            )

    async def ask(
        self,
        task: Task,
        *,
        repeat: int = 0,  # noqa: ARG002
        via: Via | None = None,  # noqa: ARG002
    ) -> Ruling:
        """Return that there is no answer: this judge reads no prompts."""
        return Ruling(
            unscored="error", detail=f"The offline judge cannot answer {task.prompt.name}"
        )

    def bound(self, task: Task) -> tuple[int, int, int, int]:  # noqa: ARG002
        """Return zeros: it makes no calls."""
        return (0, 0, 0, 0)

    def prefer(self, question: str, one: str, other: str) -> float:
        """Return 1 if the first answer is closer to the question, 0 if the other, 0.5 if alike.

        A comparison of embeddings, no more; it knows nothing of truth.
        """
        from llmops_kernel.judge.metrics.offline import embedding_relevance

        first, second = embedding_relevance(question, one), embedding_relevance(question, other)
        if abs(first - second) < _CLOSE:
            return 0.5
        return float(first > second)


@cache
def measured() -> dict[str, Any]:
    """Return how well the heuristics agreed with people's labels, as benchmarked.

    Metric to data set to ``balanced_accuracy``, ``auc`` and ``n``; empty if never measured.
    """
    try:
        found: dict[str, Any] = json.loads(_MEASURED.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def figures_line(metric: str) -> str:
    """Return how far a heuristic agreed with people's labels, by data set; "not measured"."""
    sets = measured().get("metrics", {}).get(metric, {})
    told = [
        f"{name}: balanced accuracy {each['balanced_accuracy']:.2f}, AUC {each['auc']:.2f}"
        for name, each in sorted(sets.items())
        if "balanced_accuracy" in each
    ]
    return "; ".join(told) if told else "not measured"


def measured_line(metric: str) -> str:
    """Return one line for people on how good a heuristic is."""
    return f"{BADGE}; {figures_line(metric)}"
