"""Which libraries there are, and which of their metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Library:
    """One evaluation library.

    Attributes:
        name: Its name, and that of its side environment.
        metrics: Each metric with the sample's fields it needs.
        risky: Metrics that need a word of consent, with the reason.
        embeds: Metrics that also ask for embeddings.
    """

    name: str
    metrics: Mapping[str, tuple[str, ...]]
    risky: Mapping[str, str] = field(default_factory=dict)
    embeds: frozenset[str] = frozenset()


_ANSWER = ("user_input", "response")
_GROUNDED = ("user_input", "response", "retrieved_contexts")

LIBRARIES: Mapping[str, Library] = {
    each.name: each
    for each in (
        Library(
            "ragas",
            {
                "faithfulness": _GROUNDED,
                "answer_relevancy": _ANSWER,
                "context_precision": ("user_input", "reference", "retrieved_contexts"),
                "context_recall": ("user_input", "reference", "retrieved_contexts"),
                "context_relevance": ("user_input", "retrieved_contexts"),
                "response_groundedness": ("response", "retrieved_contexts"),
                "factual_correctness": ("response", "reference"),
                "answer_accuracy": ("user_input", "response", "reference"),
            },
            embeds=frozenset({"answer_relevancy"}),
        ),
        Library(
            "deepeval",
            {
                "faithfulness": _GROUNDED,
                "answer_relevancy": _ANSWER,
                "contextual_precision": (*_GROUNDED, "reference"),
                "contextual_recall": (*_GROUNDED, "reference"),
                "contextual_relevancy": _GROUNDED,
            },
        ),
        Library(
            "trulens",
            {
                "relevance": _ANSWER,
                "context_relevance": ("user_input", "retrieved_contexts"),
                "groundedness": ("response", "retrieved_contexts"),
                "groundedness_default": ("response", "retrieved_contexts"),
            },
            risky={
                "groundedness_default": "it evaluates the judge's text as Python code, and whoever "
                "writes the text under test can steer that; `groundedness` does without",
            },
        ),
    )
}


def library_named(name: str) -> Library:
    """Return a library (raises `UsageProblem` with the nearest name)."""
    if name not in LIBRARIES:
        raise UsageProblem(
            f"There is no adapter for {name!r}{nearest(name, LIBRARIES)}",
            hint=f"Choose {', '.join(LIBRARIES)}",
        )
    return LIBRARIES[name]


def checked(library: Library, metrics: tuple[str, ...], *, consent: bool) -> tuple[str, ...]:
    """Return the metrics to run, all of the harmless ones if none are named.

    Raises:
        UsageProblem: The library has no such metric, or it needs a consent that was not given.
    """
    for name in metrics:
        if name not in library.metrics:
            raise UsageProblem(
                f"{library.name} has no metric {name!r} here{nearest(name, library.metrics)}",
                hint=f"Choose of {', '.join(library.metrics)}",
            )
        if name in library.risky and not consent:
            raise UsageProblem(
                f"{library.name}:{name} is off, because {library.risky[name]}",
                hint="Allow it with --allow-eval; it then runs in a process of its own",
            )
    return metrics or tuple(name for name in library.metrics if name not in library.risky)
