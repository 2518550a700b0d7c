"""The steps of a search, in order."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from llmops_kernel.rag.retrieve.diverse import diversified
from llmops_kernel.rag.retrieve.found import Found, SearchOptions, Step, Steps
from llmops_kernel.rag.retrieve.fusion import minmax, reciprocal_rank
from llmops_kernel.rag.retrieve.lexical import LexicalIndex
from llmops_kernel.rag.retrieve.merge import merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from llmops_kernel.embed.protocol import Vectors
    from llmops_kernel.rag.index import Index
    from llmops_kernel.rag.retrieve.found import Reranker

# Vectors whose lowest cosine stands for that of all chunks.
_SAMPLE = 1_000
# What is reranked, diversified and merged from, as a multiple of k.
_WIDTH = 4


@dataclass(frozen=True, slots=True)
class _State:
    """What is derived from the chunks at one revision."""

    lexical: LexicalIndex
    sample: Vectors


class Retriever:
    """Searches one index.

    Args:
        index: The index.
        folder: Where derived files are kept.
    """

    def __init__(self, index: Index, *, folder: Path) -> None:
        self._index = index
        self._folder = folder
        self._lock = Lock()
        self._state: _State | None = None

    def search(
        self,
        question: str,
        options: SearchOptions | None = None,
        *,
        reranker: Reranker | None = None,
        steps: Steps | None = None,
    ) -> list[Found]:
        """Return the chunks that fit a question, best first, at most ``options.k``.

        Args:
            question: What is looked for.
            options: How to search.
            reranker: Scores the best candidates anew.
            steps: Opens a span for each step.

        Raises:
            StoreError: Record or vector store cannot be used.
            ProviderError: A remote embedder failed.
        """
        options = options or SearchOptions()
        steps = steps or _untraced
        if not question.strip():
            return []
        state = self._current()
        # More than is asked for, where what follows may choose or join.
        choosing = reranker is not None or options.diversity or self._merges(options)
        width = options.k * _WIDTH if choosing else options.k
        found = self._first_stage(question, options, state, steps, width)
        if reranker is not None and found:
            found = self._reranked(question, found, options, reranker, steps)
        if options.diversity and found:
            found = self._diverse(found, options, steps)
        if self._merges(options):
            with steps("merge", question) as step:
                found = merged(found, self._index.record, options.merge)
                step.note(_shown(found))
        return found[: options.k]

    def _merges(self, options: SearchOptions) -> bool:
        return bool(options.merge) and self._index.spec.chunker == "parent-child"

    def forget(self) -> None:
        """Remove what is derived from the index."""
        self._state = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _current(self) -> _State:
        record = self._index.record
        with self._lock:
            revision = record.revision()
            if self._state is None or self._state.lexical.revision != revision:
                lexical = LexicalIndex(record, revision, self._folder)
                self._state = _State(lexical, record.sample(_SAMPLE))
            return self._state

    def _first_stage(
        self,
        question: str,
        options: SearchOptions,
        state: _State,
        steps: Steps,
        width: int,
    ) -> list[Found]:
        vector: Vectors | None = None
        dense: dict[str, float] = {}
        if options.mode != "bm25":
            with steps("embed", question) as step:
                vector = self._index.embedder.embed_query(question)
                step.note(embedder=self._index.spec.embedder_id)
            with steps("dense", question) as step:
                wanted = width if options.mode == "dense" else max(options.pool, width)
                hits = self._index.vectors.query(vector, wanted, options.where)
                visible = state.lexical.visible(options.where)
                # The record is the truth: a store may be behind it, and the wall is checked twice.
                place = state.lexical.place
                dense = {
                    hit.chunk_id: hit.score
                    for hit in hits
                    if hit.chunk_id in place and visible[place[hit.chunk_id]]
                }
                step.note(
                    [[chunk, round(score, 4)] for chunk, score in list(dense.items())[:width]]
                )
        scores: NDArray[np.float32] | None = None
        lexical: list[str] = []
        if options.mode != "dense":
            with steps("bm25", question) as step:
                scores = state.lexical.scores(question, options.where)
                lexical = _best(state.lexical.ids, scores, max(options.pool, width))
                step.note(
                    [
                        [chunk, round(float(scores[state.lexical.place[chunk]]), 4)]
                        for chunk in lexical[:width]
                    ]
                )
        if options.mode == "dense":
            ordered = sorted(dense.items(), key=lambda item: -item[1])[:width]
            return self._told([(chunk, cos, cos, None) for chunk, cos in ordered])
        assert scores is not None
        if options.mode == "bm25":
            return self._told(
                [(c, s, None, s) for c in lexical[:width]
                 for s in [float(scores[state.lexical.place[c]])]]
            )  # fmt: skip
        with steps("fuse", question) as step:
            assert vector is not None
            found = self._fused(vector, dense, lexical, scores, options, state, width)
            step.note(_shown(found), fusion=options.fusion)
        return found

    def _fused(
        self,
        vector: Vectors,
        dense: dict[str, float],
        lexical: Sequence[str],
        scores: NDArray[np.float32],
        options: SearchOptions,
        state: _State,
        width: int,
    ) -> list[Found]:
        place = state.lexical.place
        candidates = list(dict.fromkeys([*dense, *lexical]))
        if not candidates:
            return []
        missing = [chunk for chunk in candidates if chunk not in dense]
        if missing:
            known = self._index.record.vectors(missing)
            dense = dense | {
                chunk: float(known[chunk] @ vector) for chunk in missing if chunk in known
            }
        cosines = np.array([dense.get(chunk, 0.0) for chunk in candidates], np.float32)
        terms = np.array([scores[place[chunk]] for chunk in candidates], np.float32)
        if options.fusion == "rrf":
            by_cosine = [int(n) for n in np.argsort(-cosines, kind="stable")]
            by_terms = [int(n) for n in np.argsort(-terms, kind="stable") if terms[n] > 0]
            total = reciprocal_rank([by_cosine, by_terms], len(candidates))
        else:
            total = minmax(
                cosines,
                terms,
                dense_floor=self._floor(vector, cosines, state),
                lexical_floor=float(scores[np.isfinite(scores)].min()),
                weight=options.weight,
            )
        order = np.argsort(-total, kind="stable")[:width]
        return self._told(
            [
                (candidates[n], float(total[n]), float(cosines[n]), float(terms[n]))
                for n in map(int, order)
            ]
        )

    def _floor(self, vector: Vectors, cosines: NDArray[np.float32], state: _State) -> float:
        lowest = float(cosines.min())
        if state.sample.size:
            lowest = min(lowest, float((state.sample @ vector).min()))
        return lowest

    def _told(self, rows: Sequence[tuple[str, float, float | None, float | None]]) -> list[Found]:
        chunks = self._index.record.chunks([row[0] for row in rows])
        return [
            Found(chunks[chunk_id], score, cosine, bm25)
            for chunk_id, score, cosine, bm25 in rows
            if chunk_id in chunks
        ]

    def _reranked(
        self,
        question: str,
        found: list[Found],
        options: SearchOptions,
        reranker: Reranker,
        steps: Steps,
    ) -> list[Found]:
        head = found[: max(options.k * _WIDTH, 20)]
        with steps("rerank", question) as step:
            scores = reranker(question, [each.chunk.embedded_text for each in head])
            order = sorted(range(len(head)), key=lambda n: -float(scores[n]))
            result = [replace(head[n], score=float(scores[n])) for n in order]
            step.note(_shown(result))
        return result

    def _diverse(self, found: list[Found], options: SearchOptions, steps: Steps) -> list[Found]:
        with steps("diversify", "") as step:
            known = self._index.record.vectors([each.chunk.chunk_id for each in found])
            kept = [each for each in found if each.chunk.chunk_id in known]
            if not kept:
                return found
            vectors = np.stack([known[each.chunk.chunk_id] for each in kept])
            scores = np.array([each.score for each in kept], np.float32)
            spread = float(scores.max() - scores.min()) or 1.0
            scaled = (scores - scores.min()) / spread
            order = diversified(scaled, vectors, options.k, options.diversity)
            result = [kept[n] for n in order]
            step.note(_shown(result))
        return result


class _Unnoted:
    def note(self, output: Any = None, **facts: Any) -> None:
        """Nobody traces this search."""


@contextmanager
def _untraced(_name: str, _question: str) -> Iterator[Step]:
    yield _Unnoted()


def _best(ids: Sequence[str], scores: NDArray[np.float32], count: int) -> list[str]:
    """Return the ids with the highest scores above 0, best first."""
    if not len(scores):
        return []
    count = min(count, len(scores))
    top = np.argpartition(-scores, count - 1)[:count]
    order = top[np.argsort(-scores[top], kind="stable")]
    return [ids[int(n)] for n in order if scores[n] > 0]


def _shown(found: Sequence[Found]) -> list[list[Any]]:
    return [[each.chunk.source, each.chunk.chunk_id, round(each.score, 4)] for each in found]
