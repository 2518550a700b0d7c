"""Indexes, what is in them, what an ingest did, and what a search found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count, percent
from llmops_kernel.display.table import Cell, table
from llmops_kernel.display.text import markup, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.rag.chunking import ChunkReport
    from llmops_kernel.rag.documents import Chunk
    from llmops_kernel.rag.index import IndexStats
    from llmops_kernel.rag.ingesting import Failure, IngestReport
    from llmops_kernel.rag.library import IndexSummary
    from llmops_kernel.rag.retrieve import Found

_MAX_FAILURES = 50  # shown; the metadata has all of them
_MAX_LINE = 240  # characters of what is said of a document in text
_SNIPPET_TEXT = 160  # characters of a passage in text
_SNIPPET_HTML = 500


def index_list_view(indexes: Sequence[IndexSummary]) -> View:
    """Build the table of indexes."""
    rows = [
        (
            each.name,
            count(each.documents),
            count(each.chunks),
            each.embedder,
            each.chunker,
            each.store,
        )
        for each in indexes
    ]
    columns = ("Index", "Documents", "Chunks", "Embedder", "Chunker", "Store")
    html, plain = table(columns, rows, "Indexes")
    return view(html, plain, {"indexes": [asdict(each) for each in indexes]})


def index_stats_view(
    stats: IndexStats, *, failed: Sequence[Failure] = (), stable: bool = False
) -> View:
    """Build the page of an index: what is in it, and the sizes of its chunks.

    Args:
        stats: What is in the index.
        failed: Documents that could not be read when it was built anew.
        stable: Leave out where its vectors are kept, which differs between machines.
    """
    rows: list[tuple[str, str]] = [
        (_documents_of(tenant), count(number)) for tenant, number in stats.documents.items()
    ] or [("Documents", "0")]
    rows += [("Chunks", count(stats.chunks)), ("In the vector store", count(stats.stored))]
    if stats.waiting:
        rows.append(("Waiting for the vector store", count(stats.waiting)))
    rows += [("Embedder", stats.embedder), ("Chunker", stats.chunker)]
    columns, caption = ("Name", "Value"), f"Index {stats.name}"
    html, plain = table(columns, rows, caption)
    if not stable:
        html, _ = table(columns, [*rows, ("Vector store", stats.store)], caption)
        plain += f"\n\nVector store: {printable(stats.store)}"  # a table would cut the path
    if stats.report is not None:
        sizes_html, sizes_plain = table(("Chunks", "Value"), _sizes(stats.report), "Sizes")
        html, plain = f"{html}\n{sizes_html}", f"{plain}\n\n{sizes_plain}"
    html, plain = _with_failures(html, plain, failed)
    facts: dict[str, Any] = {
        "index": stats.name,
        "documents": sum(stats.documents.values()),
        "tenants": stats.documents,
        "chunks": stats.chunks,
        "waiting": stats.waiting,
        "stored": stats.stored,
        "embedder": stats.embedder,
        "chunker": stats.chunker,
        "store": stats.store,
        "report": None if stats.report is None else asdict(stats.report),
    }
    if failed:
        facts["failed"] = [asdict(each) for each in failed]
    return view(html, plain, facts)


def ingest_view(report: IngestReport) -> View:
    """Build the report of an ingest, with the documents that could not be read and why.

    How long it took is in the metadata only.
    """
    figures = {
        "Added": report.added,
        "Changed": report.changed,
        "Unchanged": report.unchanged,
        "Removed": report.removed,
        "Not read": len(report.failed),
        "Hidden": report.left_out,
        "New chunks": report.chunks,
    }
    row = (report.index, *map(count, figures.values()))
    html, plain = table(("Index", *figures), [row], "Ingest")
    html, plain = _with_failures(html, plain, report.failed)
    return view(html, plain, {**asdict(report), "ok": report.ok})


def search_view(found: Sequence[Found], *, question: str, index: str) -> View:
    """Build the list of what a search found, best first.

    Scores are rounded to two digits here and to four in the metadata.
    """
    title = f"Found in {index}: {one_line(question, 100)}"
    rows = [
        (
            number,
            _place(each.chunk),
            _score(each.score),
            _score(each.cosine),
            _score(each.bm25),
            _snippet(each.chunk),
        )
        for number, each in enumerate(found, 1)
    ]
    html, _ = table(("#", "Document", "Score", "Cosine", "BM25", "Passage"), rows, title)
    lines = [printable(title), *_listed(found)] if found else [printable(title), "none"]
    facts = {
        "index": index,
        "question": question,
        "found": [
            {
                "number": number,
                "document": each.chunk.source,
                "title": each.chunk.title,
                "heading": each.chunk.heading,
                "page": each.chunk.page,
                "tenant": each.chunk.tenant,
                "chunk_id": each.chunk.chunk_id,
                "span": [each.chunk.start, each.chunk.end],
                "score": _exact(each.score),
                "cosine": _exact(each.cosine),
                "bm25": _exact(each.bm25),
            }
            for number, each in enumerate(found, 1)
        ],
    }
    return view(html, "\n".join(lines), facts)


def _documents_of(tenant: str) -> str:
    return f"Documents of {tenant}" if tenant else "Documents"


def _sizes(report: ChunkReport) -> list[tuple[str, str]]:
    rows = [
        ("Tokens, 5th percentile", count(report.p5)),
        ("Tokens, median", count(report.p50)),
        ("Tokens, 95th percentile", count(report.p95)),
        ("Tokens, longest", count(report.longest)),
        (f"Longer than {count(report.limit)} tokens", count(report.over_limit)),
        ("Text that is repeated", percent(report.overlap)),
        ("Ending within a sentence", percent(report.cut_mid_sentence)),
    ]
    if report.parents:
        rows.append(("Parents they merge into", count(report.parents)))
    return rows


def _with_failures(html: str, plain: str, failed: Sequence[Failure]) -> tuple[str, str]:
    if not failed:
        return html, plain
    shown, more = failed[:_MAX_FAILURES], len(failed) - _MAX_FAILURES
    caption = "Not read" + (f" (the first {_MAX_FAILURES} of {count(len(failed))})" * (more > 0))
    rows = [(each.source, each.reason, _detail(each)) for each in shown]
    rows_html, _ = table(("Document", "Reason", "Detail"), rows, caption)
    # In text these are lines: a table would cut the paths that one needs here.
    lines = [f"  {_failure(each)}" for each in shown]
    return f"{html}\n{rows_html}", "\n".join([plain, "", f"{caption}:", *lines])


def _failure(failure: Failure) -> str:
    detail = f" ({found})" if (found := _detail(failure)) else ""
    return one_line(f"{failure.source}: {failure.reason}{detail}", _MAX_LINE)


def _detail(failure: Failure) -> str:
    """Return what was found, without the document's name, which stands beside it."""
    if failure.detail == failure.source:
        return ""
    return failure.detail.removeprefix(f"{failure.source}: ")


def _listed(found: Sequence[Found]) -> list[str]:
    lines: list[str] = []
    size = len(str(len(found)))
    for number, each in enumerate(found, 1):
        scores = [f"score {_score(each.score)}"]
        scores += [f"cosine {_score(each.cosine)}"] * (each.cosine is not None)
        scores += [f"BM25 {_score(each.bm25)}"] * (each.bm25 is not None)
        lines.append(f"{number:{size}}  {_place(each.chunk)} · {', '.join(scores)}")
        lines.append(f"{'':{size}}  {one_line(each.chunk.text, _SNIPPET_TEXT)}")
    return lines


def _place(chunk: Chunk) -> str:
    place = chunk.source
    if chunk.page is not None:
        place += f", page {chunk.page}"
    if chunk.heading:
        place += f", {chunk.heading}"
    if chunk.tenant:
        place += f" ({chunk.tenant})"
    return one_line(place, _SNIPPET_TEXT)


def _snippet(chunk: Chunk) -> Cell:
    return Cell(chunk.text, markup(one_line(chunk.text, _SNIPPET_HTML)))


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _exact(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
