"""Ingesting: what is new is read, what is unchanged costs nothing, what breaks is resumed."""

from __future__ import annotations

import os

import pytest

from llmops_kernel.errors import StoreError, UsageProblem
from llmops_kernel.rag.ingesting import ingest
from llmops_kernel.rag.retrieve import SearchOptions
from llmops_kernel.rag.where import Where
from llmops_kernel.store import rag_rows


def sources(index, question, **options):
    found = index.retriever.search(question, SearchOptions(**options))
    return [each.chunk.source for each in found]


def test_a_folder_is_read_once_and_found(library, folder):
    index = library.create("bank")
    first = ingest(index, [str(folder)])
    assert (first.added, first.unchanged, first.failed) == (3, 0, [])
    assert first.chunks == first.embedded == index.vectors.count() >= 3
    assert sources(index, "What is the price of a new card?", k=1) == ["fees.md"]
    again = ingest(index, [str(folder)])
    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)
    assert again.chunks == again.embedded == 0


def test_a_touched_file_is_not_embedded_again(library, folder):
    index = library.create("bank")
    ingest(index, [str(folder)])
    os.utime(folder / "fees.md", (1, 1))
    report = ingest(index, [str(folder)])
    assert (report.unchanged, report.embedded) == (3, 0)


def test_a_changed_file_replaces_its_chunks_and_embeds_only_what_is_new(library, folder):
    index = library.create("bank")
    before = ingest(index, [str(folder)])
    text = (folder / "fees.md").read_text()
    (folder / "fees.md").write_text(text.replace("$12 on Basic", "$15 on Basic"))
    report = ingest(index, [str(folder)])
    assert (report.added, report.changed, report.unchanged) == (0, 1, 2)
    assert report.embedded == 1 < before.embedded
    told = " ".join(each.chunk.text for each in index.retriever.search("replacement card price"))
    assert "$15" in told
    assert "$12" not in told
    assert index.vectors.count() == before.chunks


def test_a_file_that_is_gone_goes_and_one_that_cannot_be_read_stays(library, folder):
    index = library.create("bank")
    ingest(index, [str(folder)])
    (folder / "help" / "savings.md").unlink()
    (folder / "fees.md").write_bytes(b"")
    report = ingest(index, [str(folder)])
    assert report.removed == 1
    assert [failure.source for failure in report.failed] == ["fees.md"]
    assert report.failed[0].reason == "empty"
    assert not report.ok
    listed = {entry.source for entry in index.record.documents().values()}
    assert listed == {"fees.md", "help/cards.md"}
    assert "help/savings.md" not in sources(index, "What does the Easy Pot pay?", k=20)


def test_only_the_named_folder_is_swept(library, folder, tmp_path):
    index = library.create("bank")
    other = tmp_path / "other"
    other.mkdir()
    (other / "hours.md").write_text("# Hours\n\nThe phone is answered from 7 to 22.")
    ingest(index, [str(folder)])
    ingest(index, [str(other)])
    assert ingest(index, [str(folder / "help" / "*.md")]).removed == 0
    (folder / "fees.md").unlink()
    assert ingest(index, [str(other)]).removed == 0
    assert ingest(index, [str(folder)]).removed == 1
    assert len(index.record.documents()) == 5  # a pattern names files from its own folder on


def test_two_files_of_one_name_do_not_replace_each_other(library, folder, tmp_path):
    index = library.create("bank")
    ingest(index, [str(folder)])
    other = tmp_path / "other"
    other.mkdir()
    (other / "fees.md").write_text("# Other fees\n\nAn office chair costs $80.")
    report = ingest(index, [str(other)])
    assert [failure.reason for failure in report.failed] == ["name taken"]
    assert ingest(index, [str(other)], prefix="other/").added == 1
    assert sources(index, "office chair", k=1) == ["other/fees.md"]


def test_a_folder_that_was_moved_is_known_again(library, folder, tmp_path):
    index = library.create("bank")
    ingest(index, [str(folder)])
    moved = folder.rename(tmp_path / "moved")
    report = ingest(index, [str(moved)])
    assert (report.unchanged, report.embedded, report.failed) == (3, 0, [])
    (moved / "fees.md").unlink()
    assert ingest(index, [str(moved)]).removed == 1


def test_what_stopped_between_record_and_store_is_made_up_for(library, folder, monkeypatch):
    index = library.create("bank")

    def fail(*_: object) -> None:
        raise StoreError("The store is down")

    monkeypatch.setattr(type(index.vectors), "upsert", fail)
    with pytest.raises(StoreError, match="down"):
        ingest(index, [str(folder)])
    documents, chunks, waiting = index.record.totals()
    assert documents == 3
    assert waiting == chunks > 0
    monkeypatch.undo()
    report = ingest(index, [str(folder)])
    assert (report.unchanged, report.embedded) == (3, 0)
    assert index.vectors.count() == chunks
    assert index.record.totals()[2] == 0


def test_a_store_that_is_down_leaves_the_record_alone(library, folder):
    with pytest.raises(StoreError):
        library.create("bank", store="qdrant+http://127.0.0.1:9")
    assert library.names() == []


def test_what_a_store_has_and_the_record_has_not_is_not_found(library, folder, store):
    index = library.create("bank")
    ingest(index, [str(folder)])
    doc = next(e for e in index.record.documents().values() if e.source == "fees.md")
    with store.transaction() as tx:  # the process died before the vector store heard of it
        rag_rows.drop_document(tx, "bank", doc.doc_id)
        rag_rows.touch(tx, "bank")
    assert index.vectors.count() == index.record.totals()[1] + len(index.record.gone())
    for mode in ("dense", "bm25", "hybrid"):
        assert "fees.md" not in sources(index, "replacement card costs", k=20, mode=mode)
    ingest(index, [str(folder / "help")])
    assert index.record.gone() == []
    assert index.vectors.count() == index.record.totals()[1]


def test_a_tenant_sees_its_own_and_the_shared_documents(library, folder, tmp_path):
    index = library.create("bank")
    private = tmp_path / "private"
    private.mkdir()
    (private / "terms.md").write_text("# Terms\n\nHarbor pays $9 for a replacement card.")
    ingest(index, [str(folder)])
    ingest(index, [str(private)], tenant="harbor")
    for mode in ("dense", "bm25", "hybrid"):
        for tenant in ("", "kite"):
            seen = sources(index, "replacement card Harbor", k=20, mode=mode, where=Where(tenant))
            assert "terms.md" not in seen
        seen = sources(index, "replacement card Harbor", k=20, mode=mode, where=Where("harbor"))
        assert "terms.md" in seen
    # The same file for two tenants is two documents.
    ingest(index, [str(private)], tenant="kite")
    assert len([e for e in index.record.documents().values() if e.source == "terms.md"]) == 2


def test_nothing_to_ingest_is_said(library):
    index = library.create("bank")
    with pytest.raises(UsageProblem, match="nothing to ingest"):
        ingest(index, [])


def test_progress_names_each_document(library, folder):
    told: list[tuple[int, int, str]] = []
    ingest(library.create("bank"), [str(folder)], progress=lambda *each: told.append(each))
    assert told[0] == (0, 3, "fees.md")
    assert told[-1] == (3, 3, "")
