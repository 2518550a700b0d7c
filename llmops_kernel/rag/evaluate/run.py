"""Searching an index for labelled questions, and scoring what is found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.rag.answer.pack import pack
from llmops_kernel.rag.documents import SHARED
from llmops_kernel.rag.evaluate import metrics
from llmops_kernel.rag.evaluate.gold import GoldFinder, Place, Unresolved
from llmops_kernel.rag.evaluate.questions import BadRow
from llmops_kernel.rag.evaluate.report import (
    Difference,
    EvaluationReport,
    Interval,
    ModeScores,
    QuestionScores,
    interval,
    intervals,
)
from llmops_kernel.rag.retrieve import SearchOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmops_kernel.rag.evaluate.questions import EvalQuestion
    from llmops_kernel.rag.index import Index
    from llmops_kernel.rag.retrieve import Found
    from llmops_kernel.rag.retrieve.found import Mode

    # Told (done, all, the mode in hand).
    Progress = Callable[[int, int, str], object]

MODES: tuple[Mode, ...] = ("dense", "bm25", "hybrid")
_COMPARED = ("ndcg", "recall")


@dataclass(frozen=True, slots=True)
class _Task:
    """A question with its gold in the index."""

    question: EvalQuestion
    tenant: str
    golds: tuple[Place, ...]
    needed: int


def evaluate(
    index: Index,
    questions: Sequence[EvalQuestion],
    *,
    k: int = 5,
    modes: Sequence[str] = MODES,
    tenant: str = SHARED,
    budget: int | None = None,
    options: SearchOptions | None = None,
    bad: Sequence[BadRow] = (),
    draws: int = 1_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> EvaluationReport:
    """Score searches on labelled questions.

    Args:
        index: Where to search.
        questions: From `load_questions`.
        k: Results that recall, hit and token measures look at. nDCG and MRR look at 10.
        modes: Ways to search.
        tenant: Who asks where a question does not say.
        budget: Count only the results that fit these tokens, as they are packed for a model.
        options: How to search otherwise; its ``k``, ``mode`` and tenant are replaced.
        bad: Rows that could not be read, for the report.
        draws: Bootstrap resamples; 0 for no intervals.
        seed: Of the bootstrap.
        progress: Told of each search.

    Returns:
        The report. Questions without gold are counted and not searched; those whose gold is not in
        the index are bad rows.

    Raises:
        UsageProblem: An unknown mode, a k or budget below 1, or no question that can be scored.
        StoreError: Record or vector store cannot be used.
        ProviderError: A remote embedder failed.
    """
    chosen = _check(modes, k, budget)
    gold = GoldFinder(index.record)
    tasks, wrong = _tasks(questions, gold, tenant)
    faulty = tuple(sorted([*bad, *wrong], key=lambda row: row.line))
    if not tasks:
        raise UsageProblem(
            "There is no question that can be scored",
            detail="; ".join(map(str, faulty[:3])) or "all are without gold",
            hint="gold_ids or gold_spans must name documents of the index",
        )
    runner = _Runner(index, gold, options or SearchOptions(), k, budget)
    scored: list[ModeScores] = []
    for number, mode in enumerate(chosen):
        began = time.perf_counter()
        rows: list[QuestionScores] = []
        for at, task in enumerate(tasks):
            if progress is not None:
                progress(number * len(tasks) + at, len(chosen) * len(tasks), mode)
            rows.append(runner.score(task, mode))
        seconds = time.perf_counter() - began
        scored.append(
            ModeScores(
                mode,
                intervals(rows, draws=draws, seed=seed),
                _by_kind(rows, draws, seed),
                seconds,
                tuple(rows),
            )
        )
    return EvaluationReport(
        index=index.name,
        k=k,
        budget=budget,
        scored=len(tasks),
        unanswerable=sum(not each.has_gold for each in questions),
        bad=faulty,
        modes=tuple(scored),
        differences=_differences(scored, draws, seed),
    )


class _Runner:
    def __init__(
        self, index: Index, gold: GoldFinder, options: SearchOptions, k: int, budget: int | None
    ) -> None:
        self._retriever = index.retriever
        self._gold = gold
        self._options = options
        self._k = k
        self._budget = budget
        self._tokens = metrics.Tokens(gold.text)
        # What is merged and made diverse depends on k, so ten results do not begin with the five
        # that a search for five returns.
        self._apart = bool(options.diversity) or index.spec.chunker == "parent-child"

    def score(self, task: _Task, mode: Mode) -> QuestionScores:
        deep = self._search(task, mode, max(self._k, metrics.DEPTH))
        top = self._search(task, mode, self._k) if self._apart else deep[: self._k]
        deep, top = self._fitting(deep), self._fitting(top)
        first, ranked = _places(top), _places(deep)
        tokens = self._tokens.score(first, task.golds)
        return QuestionScores(
            id=task.question.id,
            kind=task.question.kind,
            question=task.question.question,
            recall=metrics.recall(first, task.golds),
            hit=metrics.hit(first, task.golds),
            ndcg=metrics.ndcg(ranked, task.golds, task.needed),
            mrr=metrics.reciprocal_rank(ranked, task.golds),
            token_recall=tokens.recall if tokens else None,
            token_precision=tokens.precision if tokens else None,
            token_iou=tokens.iou if tokens else None,
            context_tokens=float(sum(count_tokens(each.chunk.embedded_text) for each in top)),
            passages=float(len(top)),
            first=top[0].chunk.source if top else "",
        )

    def _search(self, task: _Task, mode: Mode, k: int) -> list[Found]:
        where = replace(self._options.where, tenant=task.tenant)
        options = replace(self._options, k=k, mode=mode, where=where)
        return self._retriever.search(task.question.question, options)

    def _fitting(self, found: list[Found]) -> list[Found]:
        if self._budget is None:
            return found
        return [each.found for each in pack(found, self._budget)]


def _check(modes: Sequence[str], k: int, budget: int | None) -> list[Mode]:
    if not modes:
        raise UsageProblem("There is no mode to evaluate", hint=", ".join(MODES))
    for mode in modes:
        if mode not in MODES:
            raise UsageProblem(
                f"There is no search mode {mode!r}{nearest(mode, MODES)}", hint=", ".join(MODES)
            )
    if k < 1:
        raise UsageProblem("k must be at least one result", detail=f"got {k}", hint="k=5")
    if budget is not None and budget < 1:
        raise UsageProblem(
            "The budget for passages must be at least one token", detail=f"got {budget}"
        )
    return [mode for mode in MODES if mode in modes]


def _tasks(
    questions: Sequence[EvalQuestion], gold: GoldFinder, tenant: str
) -> tuple[list[_Task], list[BadRow]]:
    tasks: list[_Task] = []
    wrong: list[BadRow] = []
    for question in questions:
        if not question.has_gold:
            continue
        asker = tenant if question.tenant is None else question.tenant
        try:
            golds = gold.places(question, asker)
        except Unresolved as problem:
            wrong.append(BadRow(question.line, question.id, problem.reason, problem.detail))
            continue
        needed = metrics.needed_chunks(golds, gold.leaves)
        tasks.append(_Task(question, asker, golds, needed))
    return tasks, wrong


def _places(found: Sequence[Found]) -> list[Place]:
    return [Place(each.chunk.doc_id, each.chunk.start, each.chunk.end) for each in found]


def _by_kind(
    rows: Sequence[QuestionScores], draws: int, seed: int
) -> dict[str, dict[str, Interval]]:
    kinds = sorted({row.kind for row in rows})
    if kinds == [""]:
        return {}
    return {
        kind: intervals([row for row in rows if row.kind == kind], draws=draws, seed=seed)
        for kind in kinds
    }


def _differences(scored: Sequence[ModeScores], draws: int, seed: int) -> tuple[Difference, ...]:
    by_mode = {each.mode: each.questions for each in scored}
    if "hybrid" not in by_mode:
        return ()
    return tuple(
        Difference(
            metric,
            "hybrid",
            part,
            interval(
                [
                    getattr(one, metric) - getattr(other, metric)
                    for one, other in zip(by_mode["hybrid"], by_mode[part], strict=True)
                ],
                draws=draws,
                seed=seed,
            ),
        )
        for part in ("dense", "bm25")
        if part in by_mode
        for metric in _COMPARED
    )
