"""Metrics by name, as people type them."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.judge.metrics.agent import Goal, ToolCorrectness
from llmops_kernel.judge.metrics.context import (
    ContextPrecision,
    ContextRecall,
    ContextRelevance,
)
from llmops_kernel.judge.metrics.correctness import Correctness, Toxicity
from llmops_kernel.judge.metrics.faithfulness import CONVENTIONS, Faithfulness
from llmops_kernel.judge.metrics.offline import (
    EmbeddingRelevance,
    EntityConsistency,
    LexicalSupport,
)
from llmops_kernel.judge.metrics.pairwise import Pairwise
from llmops_kernel.judge.metrics.relevance import (
    AnswerRelevance,
    QuestionRelevance,
    SemanticSimilarity,
)
from llmops_kernel.judge.metrics.retrieval import KINDS, IdRetrieval
from llmops_kernel.judge.metrics.triad import Triad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmops_kernel.judge.metrics.base import Metric

_MADE: dict[str, Callable[[], Metric]] = {
    "faithfulness": Faithfulness,
    **{f"faithfulness[{name}]": partial(Faithfulness, name) for name in CONVENTIONS},
    "triad": Triad,
    **{f"triad[{name}]": partial(Triad, name) for name in CONVENTIONS},
    "answer_relevance": AnswerRelevance,
    "answer_relevance[ragas]": QuestionRelevance,
    "context_relevance": ContextRelevance,
    "context_precision": ContextPrecision,
    "context_recall": ContextRecall,
    "correctness": Correctness,
    "correctness[ragas]": lambda: Correctness("ragas"),
    "semantic_similarity": SemanticSimilarity,
    "toxicity": Toxicity,
    "pairwise": Pairwise,
    "goal": Goal,
    "tool_correctness": ToolCorrectness,
    "tool_correctness[names]": lambda: ToolCorrectness(names_only=True),
    "lexical_support": LexicalSupport,
    "entity_consistency": EntityConsistency,
    "embedding_relevance": EmbeddingRelevance,
}
_BY_ID = re.compile(rf"({'|'.join(KINDS)})(?:@(\d{{1,4}}))?")


def metric_names() -> list[str]:
    """Return the names that `metrics_of` knows; retrieval takes any k (``recall@5``)."""
    return [*_MADE, *(f"{kind}@10" for kind in KINDS)]


def metrics_of(names: Iterable[str]) -> list[Metric]:
    """Return metrics by name, each once, in the order given.

    Raises:
        UsageProblem: A name is unknown, or there is none.
    """
    found = {name: _metric(name) for name in (each.strip() for each in names) if name}
    if not found:
        raise UsageProblem("No metric was named", hint=f"Known are {', '.join(metric_names())}")
    return list({metric.name: metric for metric in found.values()}.values())


def _metric(name: str) -> Metric:
    name = name.replace("[convention=", "[")
    if name in _MADE:
        return _MADE[name]()
    if match := _BY_ID.fullmatch(name):
        return IdRetrieval(match[1], int(match[2] or 10))
    known = metric_names()
    raise UsageProblem(
        f"There is no metric {name!r}{nearest(name, known)}", hint=f"Known are {', '.join(known)}"
    )
