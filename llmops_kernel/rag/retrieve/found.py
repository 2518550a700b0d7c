"""What is asked of a search, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.where import Where

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Chunk

Mode = Literal["hybrid", "dense", "bm25"]
Fusion = Literal["minmax", "rrf"]
# Scores passages for a question, higher is better, one score each.
Reranker = Callable[[str, Sequence[str]], Sequence[float]]


class Step(Protocol):
    """One step of a search in the trace."""

    def note(self, output: Any = None, **facts: Any) -> None:
        """Say what came out of it."""
        ...


# Opens a step: its name, and what goes in.
Steps = Callable[[str, str], AbstractContextManager[Step]]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        k: Chunks to return.
        mode: ``hybrid`` joins dense and BM25; the others are one of them alone.
        fusion: ``minmax`` adds the two scores, each scaled per question to 0..1; ``rrf`` adds
            reciprocal ranks (k = 60).
        weight: Share of the dense score in ``minmax`` (0..1). With the built-in embedder .6 is
            best over seven public sets.
        pool: Candidates of each kind that are joined.
        diversity: Weight against near repeats (0 off, up to 1): maximal marginal relevance.
        merge: Replace chunks by their parent where at least this share of its children is found;
            0 is off. Matters to indexes of the parent-child chunker only.
        where: What may be seen.
    """

    k: int = 5
    mode: Mode = "hybrid"
    fusion: Fusion = "minmax"
    weight: float = 0.6
    pool: int = 100
    diversity: float = 0.0
    merge: float = 0.5
    where: Where = field(default_factory=Where)

    def __post_init__(self) -> None:
        """Refuse what cannot be (raises `UsageProblem`)."""
        if self.mode not in {"hybrid", "dense", "bm25"}:
            raise UsageProblem(
                f"There is no search mode {self.mode!r}", hint="hybrid, dense or bm25"
            )
        if self.fusion not in {"minmax", "rrf"}:
            raise UsageProblem(f"There is no fusion {self.fusion!r}", hint="minmax or rrf")
        if self.k < 1 or self.pool < 1:
            raise UsageProblem("A search needs at least one result", hint="k=5")
        for name in ("weight", "diversity", "merge"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageProblem(f"{name} must be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that was found.

    Attributes:
        chunk: The chunk, or the parent that stands for several.
        score: What it was ordered by; comparable within one search only.
        cosine: Cosine of question and chunk; None where nothing was embedded.
        bm25: BM25 score; None where it was not computed.
    """

    chunk: Chunk
    score: float
    cosine: float | None = None
    bm25: float | None = None
