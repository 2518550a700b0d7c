"""What retrieval finds, on public collections and on the bank's documents."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _labelled as labelled
import _measure as measure
from _retrieval_parts import library

from llmops_kernel.labs import bank
from llmops_kernel.rag.evaluate import evaluate
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.retrieve import SearchOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.rag.evaluate import EvalQuestion, EvaluationReport
    from llmops_kernel.rag.index import Index
    from llmops_kernel.session import Session

CHUNKERS = ("markdown", "sentence", "token", "semantic", "parent-child")
BUDGET = 1_800
METHODS = (
    ("bm25", "bm25", "minmax"),
    ("dense", "dense", "minmax"),
    ("hybrid", "hybrid", "minmax"),
    ("hybrid rrf", "hybrid", "rrf"),
)


def methods(
    report: measure.Report,
    index: Index,
    questions: list[EvalQuestion],
    what: str,
    reference: dict[str, tuple[float, float]] | None = None,
    budget: int | None = None,
) -> dict[str, EvaluationReport]:
    """Add a row for each way to search, and return what each found."""
    found = {}
    stats = index.record.totals()
    for name, mode, fusion in METHODS:
        options = SearchOptions(fusion=fusion)  # type: ignore[arg-type]
        result = evaluate(index, questions, modes=[mode], options=options, budget=budget)
        if result.bad:
            report.notes.append(f"{what}: {len(result.bad)} questions not scored: {result.bad[0]}")
        found[name] = result
        ndcg, recall = (reference or {}).get(name, (None, None))
        report.add(**{
            "what": what, "how": name, "documents": stats[0], "chunks": stats[1],
            "questions": result.scored, **scores(result), "(reference)": ndcg,
            "(reference) ": recall,
        })  # fmt: skip
    return found


def scores(result: EvaluationReport) -> dict[str, Any]:
    (mode,) = result.modes
    named = {
        "ndcg@10": "ndcg", "recall@5": "recall", "token recall": "token_recall",
        "token IoU": "token_iou", "tokens": "context_tokens",
    }  # fmt: skip
    return {
        title: round(mode.metrics[name].mean, 3)
        for title, name in named.items()
        if name in mode.metrics
    }


def measure_public(report: measure.Report, options: Any) -> None:
    for make in (labelled.xquad, labelled.clapnq, labelled.chunking_eval):
        if not labelled.PUBLIC.exists():
            report.notes.append("the public collections are not here: see CONTRIBUTING.md")
            return
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "docs").mkdir()
            found = make(Path(home) / "docs")
            questions = found.questions[:: 20 if options.quick else 1]
            with library(Path(home)) as own:
                index = own.create("bench", chunker=found.chunker, size=found.size)
                ingest(index, [str(found.folder)])
                beside(report, methods(report, index, questions, found.name, found.reference),
                       found.name)  # fmt: skip


def beside(report: measure.Report, found: dict[str, EvaluationReport], what: str) -> None:
    """Hold hybrid against its parts."""
    means = {name: result.modes[0].metrics["ndcg"].mean for name, result in found.items()}
    best = max(means["bm25"], means["dense"])
    report.targets.append(
        measure.Target(f"{what}: hybrid nDCG@10 beside the better part", best, means["hybrid"],
                       "", at_least=True)
    )  # fmt: skip


def measure_chunkers(report: measure.Report, options: Any) -> None:
    if not labelled.PUBLIC.exists():
        return
    for chunker in CHUNKERS:
        with tempfile.TemporaryDirectory() as home:
            (Path(home) / "docs").mkdir()
            found = labelled.chunking_eval(Path(home) / "docs")
            questions = found.questions[:: 20 if options.quick else 1]
            with library(Path(home)) as own:
                index = own.create("bench", chunker=chunker)
                ingest(index, [str(found.folder)])
                for how, k, budget in (("k=5", 5, None), ("800 tokens", 20, 800)):
                    result = evaluate(index, questions, modes=["hybrid"], k=k, budget=budget)
                    row = scores(result)
                    if k != 5:
                        del row["recall@5"]
                    report.add(**{
                        "what": f"chunker {chunker}", "how": f"hybrid, {how}",
                        "chunks": index.record.totals()[1], "questions": result.scored, **row,
                    })  # fmt: skip


def measure_bank(report: measure.Report, options: Any) -> None:
    questions = labelled.bank_questions()[:: 10 if options.quick else 1]
    with tempfile.TemporaryDirectory() as home, bank_session(home) as session:
        bank.ingest_into(session)
        index = session.indexes.open("bank")
        for kind in ("answerable", "near_miss", "paraphrase", "indirect"):
            own = [each for each in questions if each.kind == kind]
            found = methods(report, index, own, f"bank, {kind}", budget=BUDGET)
            if kind == "answerable":
                beside(report, found, "bank")
                recall = found["hybrid"].modes[0].metrics["recall"]
                report.notes.append(
                    f"bank, answerable, hybrid: recall@5 {recall.mean:.3f} "
                    f"[{recall.low:.3f}, {recall.high:.3f}]"
                )
                report.targets.append(
                    measure.Target("bank: recall@5 of answerable questions within 1,800 tokens",
                                   0.9, recall.mean, "", at_least=True)
                )  # fmt: skip
                full = evaluate(index, own, modes=["hybrid"], k=40, budget=BUDGET, draws=0)
                metrics = full.modes[0].metrics
                report.notes.append(
                    f"bank, answerable, hybrid: recall {metrics['recall'].mean:.3f} with as many "
                    f"chunks as fit 1,800 tokens ({metrics['passages'].mean:.1f} of them)"
                )


@contextmanager
def bank_session(home: str) -> Iterator[Session]:
    from llmops_kernel.session import Session

    session = Session(store=f"sqlite:///{home}/record.db")
    try:
        yield session
    finally:
        session.close()
