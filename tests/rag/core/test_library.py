"""Indexes: made, opened, refused, built anew, dropped."""

from __future__ import annotations

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.store import rag_rows


def test_an_unknown_index_names_the_nearest(library):
    library.create("handbook")
    with pytest.raises(UsageProblem, match="did you mean 'handbook'"):
        library.open("handbok")
    with pytest.raises(UsageProblem, match="already"):
        library.create("handbook")
    with pytest.raises(UsageProblem, match="cannot have this name"):
        library.create("no spaces")


def test_an_index_is_opened_again_by_another_process(make_library, folder):
    first = make_library()
    ingest(first.create("bank", chunker="sentence", size=120), [str(folder)])
    first.close()
    index = make_library().open("bank")
    assert (index.spec.chunker, index.spec.size) == ("sentence", 120)
    assert index.retriever.search("Easy Pot", SearchOptions(k=1))[0].chunk.source == (
        "help/savings.md"
    )


def test_another_embedder_is_refused_until_the_index_is_built_anew(make_library, folder, embedders):
    first = make_library()
    ingest(first.create("bank"), [str(folder)])
    first.close()
    chunks = first.open("bank").record.totals()[1]
    first.close()
    embedders["builtin"] = embedders["other"]  # a new version of the package brings another model
    library = make_library()
    with pytest.raises(UsageProblem, match="embedder") as caught:
        library.open("bank")
    assert "reindex bank" in caught.value.hint
    assert library.reindex("bank") == []
    index = library.open("bank")
    assert index.spec.embedder_id == "other@1"
    assert embedders["other"].texts == chunks == index.vectors.count()
    assert index.retriever.search("Easy Pot", SearchOptions(k=1))[0].chunk.source == (
        "help/savings.md"
    )


def test_another_chunker_reads_the_documents_again(library, folder):
    ingest(library.create("bank"), [str(folder)])
    (folder / "help" / "savings.md").unlink()
    failures = library.reindex("bank", chunker="sentence", size=40)
    assert [failure.source for failure in failures] == ["help/savings.md"]
    index = library.open("bank")
    assert index.spec.chunker == "sentence"
    assert {e.source for e in index.record.documents().values()} == {"fees.md", "help/cards.md"}
    assert ingest(index, [str(folder)]).unchanged == 2


def test_another_store_is_filled_from_the_record(library, folder, embedders, tmp_path):
    ingest(library.create("bank", embedder="other"), [str(folder)])
    before = embedders["other"].texts
    library.reindex("bank", store=f"qdrant://{tmp_path / 'qdrant'}")
    index = library.open("bank")
    assert embedders["other"].texts == before
    assert index.spec.store.startswith("qdrant")
    assert index.vectors.count() == index.record.totals()[1]
    assert index.retriever.search("Easy Pot", SearchOptions(k=1))[0].chunk.source == (
        "help/savings.md"
    )


def test_a_reindexing_that_fails_leaves_the_old_index(library, folder, embedders, store):
    ingest(library.create("bank"), [str(folder)])

    def fail(_: object) -> None:
        raise RuntimeError("out of memory")

    embedders["other"].embed_texts = fail
    with pytest.raises(RuntimeError, match="out of memory"):
        library.reindex("bank", embedder="other")
    assert library.names() == ["bank"]
    assert [row[0] for row in rag_rows.indexes(store)] == ["bank"]
    index = library.open("bank")
    assert index.vectors.count() == index.record.totals()[1] > 0


def test_a_dropped_index_leaves_nothing(library, folder, store):
    index = library.create("bank")
    ingest(index, [str(folder)])
    index.retriever.search("card")
    vectors = index.vectors
    library.drop("bank")
    assert library.names() == []
    assert store.read("SELECT COUNT(*) FROM rag_chunk") == [(0,)]
    with pytest.raises(UsageProblem):
        library.open("bank")
    index = library.create("bank")
    assert index.vectors.count() == 0
    assert index.vectors is not vectors


def test_an_index_is_not_silently_another_one(library):
    library.create("bank", chunker="sentence")
    assert library.open_or_create("bank").spec.chunker == "sentence"
    with pytest.raises(UsageProblem, match="another chunker"):
        library.open_or_create("bank", chunker="semantic")


def test_the_figures_of_an_index(library, folder, tmp_path):
    index = library.create("bank")
    ingest(index, [str(folder)])
    ingest(index, [str(folder / "help")], tenant="harbor")
    stats = index.stats()
    assert stats.documents == {"": 3, "harbor": 2}
    assert stats.chunks == stats.stored == stats.report.count
    assert stats.waiting == 0
    assert stats.report.documents == 5
    assert stats.report.over_limit == 0
    (summary,) = library.summaries()
    assert (summary.name, summary.documents, summary.store) == ("bank", 5, "chroma")
