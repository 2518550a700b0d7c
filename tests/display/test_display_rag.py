"""What is shown of indexes, ingests and searches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmops_kernel.display import (
    index_list_view,
    index_stats_view,
    ingest_view,
    search_view,
)
from llmops_kernel.rag.chunking.report import ChunkReport
from llmops_kernel.rag.documents import Chunk
from llmops_kernel.rag.index import IndexStats
from llmops_kernel.rag.ingesting import Failure, IngestReport
from llmops_kernel.rag.library import IndexSummary
from llmops_kernel.rag.retrieve import Found

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"
REPORT = ChunkReport(
    spec="markdown/1 size=240 overlap=0",
    documents=3,
    count=1_204,
    parents=0,
    p5=31,
    p50=180,
    p95=239,
    longest=262,
    overlap=0.125,
    cut_mid_sentence=0.004,
    over_limit=2,
    limit=256,
)


def stats(**changes: Any) -> IndexStats:
    values: dict[str, Any] = {
        "name": "bank",
        "documents": {"": 2, "acme": 1},
        "chunks": 1_204,
        "waiting": 0,
        "stored": 1_204,
        "embedder": "minilm@1",
        "chunker": REPORT.spec,
        "store": "Chroma (/home/ada/rag/chroma)",
        "report": REPORT,
        **changes,
    }
    return IndexStats(**values)


def found(score: float = 0.9349, **changes: Any) -> Found:
    values: dict[str, Any] = {
        "chunk_id": "c1",
        "doc_id": "d1",
        "source": "fees.md",
        "title": "Fees",
        "tenant": "",
        "text": "A replacement card costs $12.",
        "start": 10,
        "end": 39,
        "heading": "Fees > Cards",
        **changes,
    }
    return Found(Chunk(**values), score, 0.5512, None)


def test_the_list_has_a_row_for_each_index(text_of: Callable[[str], str]) -> None:
    view = index_list_view([IndexSummary("bank", 120, 1_204, "minilm@1", "markdown/1", "chroma")])
    assert view.text.splitlines()[-1].split() == [
        "bank", "120", "1,204", "minilm@1", "markdown/1", "chroma",
    ]  # fmt: skip
    assert "1,204" in text_of(view.html)
    assert view.facts["indexes"][0]["chunks"] == 1_204
    assert index_list_view([]).text.endswith("none")


def test_stats_show_tenants_and_sizes(text_of: Callable[[str], str]) -> None:
    view = index_stats_view(stats())
    lines = {" ".join(line.split()) for line in view.text.splitlines()}
    assert {
        "Documents 2",
        "Documents of acme 1",
        "In the vector store 1,204",
        "Tokens, median 180",
        "Longer than 256 tokens 2",
        "Text that is repeated 12 %",
        "Ending within a sentence <1 %",
    } <= lines
    assert "Waiting" not in view.text
    assert "Parents" not in view.text
    assert "/home/ada" in text_of(view.html)
    assert (view.facts["documents"], view.facts["report"]["p95"]) == (3, 239)


def test_stable_stats_do_not_say_where_the_vectors_are() -> None:
    view = index_stats_view(stats(), stable=True)
    assert "/home/ada" not in view.text + view.html
    assert view.facts["store"] == "Chroma (/home/ada/rag/chroma)"


def test_an_empty_and_an_unfinished_index_say_so() -> None:
    empty = index_stats_view(stats(documents={}, chunks=0, stored=0, report=None))
    assert "Sizes" not in empty.text
    assert "Documents            0" in empty.text
    unfinished = index_stats_view(stats(waiting=7, stored=1_197))
    assert "Waiting for the vector store  7" in unfinished.text


def test_an_ingest_names_what_it_could_not_read(text_of: Callable[[str], str]) -> None:
    failed = [
        Failure("a/empty.md", "empty", "a/empty.md: no bytes"),
        Failure("locked.pdf", "encrypted", "locked.pdf"),
        Failure(HOSTILE, "damaged", "cut off"),
    ]
    report = IngestReport("bank", added=2, failed=failed, chunks=9, seconds=1.25)
    view = ingest_view(report)
    assert "  a/empty.md: empty (no bytes)\n  locked.pdf: encrypted\n" in view.text
    assert "\x1b" not in view.text
    assert "<img" not in view.html
    assert "onerror=alert(1)>" in text_of(view.html)
    assert "1.25" not in view.text + view.html
    assert (view.facts["seconds"], view.facts["ok"]) == (1.25, False)
    json.dumps(view.metadata, allow_nan=False)


def test_a_good_ingest_is_one_row() -> None:
    view = ingest_view(IngestReport("bank", unchanged=120))
    assert len(view.text.splitlines()) == 4
    assert view.facts["ok"] is True


def test_of_many_failures_the_first_are_shown_and_all_are_kept() -> None:
    failed = [Failure(f"{number}.pdf", "damaged") for number in range(60)]
    view = ingest_view(IngestReport("bank", failed=failed))
    assert "the first 50 of 60" in view.text
    assert "  49.pdf: damaged" in view.text
    assert "50.pdf" not in view.text + view.html
    assert len(view.facts["failed"]) == 60


def test_results_are_numbered_with_place_and_scores(text_of: Callable[[str], str]) -> None:
    results = [found(), found(0.5, page=3, heading="", tenant="acme")]
    view = search_view(results, question="What does a card cost?", index="bank")
    assert view.text.splitlines() == [
        "Found in bank: What does a card cost?",
        "1  fees.md, Fees > Cards · score 0.93, cosine 0.55",
        "   A replacement card costs $12.",
        "2  fees.md, page 3 (acme) · score 0.50, cosine 0.55",
        "   A replacement card costs $12.",
    ]
    assert "fees.md, Fees > Cards" in text_of(view.html)
    first = view.facts["found"][0]
    assert (first["score"], first["bm25"], first["span"]) == (0.9349, None, [10, 39])


def test_long_and_hostile_passages_are_cut_and_escaped(text_of: Callable[[str], str]) -> None:
    view = search_view([found(text=HOSTILE + " x" * 2_000)], question=HOSTILE, index="bank")
    assert max(map(len, view.text.splitlines())) < 200
    assert len(view.html) < 2_000
    assert "<img" not in view.html
    assert "\x1b" not in view.text + view.html
    assert "…" in text_of(view.html)


@pytest.mark.parametrize("question", ["", "nothing like it"])
def test_no_result_says_none(question: str) -> None:
    view = search_view([], question=question, index="bank")
    assert view.text.endswith("none")
    assert "none" in view.html
    assert view.facts["found"] == []
