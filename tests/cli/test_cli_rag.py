"""``llmops rag`` on a folder that nobody has prepared."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmops_kernel import Session
from llmops_kernel.cli import main
from llmops_kernel.cli._rag import CHUNKERS, MODES, progress_bar
from llmops_kernel.doctor import run_checks
from llmops_kernel.rag.chunking.make import CHUNKERS as MADE
from llmops_kernel.rag.retrieve import SearchOptions

if TYPE_CHECKING:
    from pathlib import Path

FEES = """---
version: 2026
---
# Fees

A replacement card costs $12 on Basic. On Plus the first one in a year is free.
"""
OLD = "---\nversion: 2025\n---\n# Fees\n\nA replacement card costs $9 on Basic.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Good, empty and broken files of several kinds."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    (docs / "help").mkdir(parents=True)
    (docs / "fees.md").write_text(FEES)
    (docs / "old.md").write_text(OLD)
    (docs / "help" / "cards.html").write_text("<h1>Lost cards</h1><p>Freeze it in the app.</p>")
    (docs / "limits.csv").write_text("plan,limit\nBasic,500\nPlus,2000\n")
    (docs / "empty.txt").write_text("")
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is none")
    (docs / "photo").write_bytes(bytes(range(256)) * 8)
    (docs / ".secret").write_text("left out")
    return docs


@pytest.fixture
def index(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The good files of the folder in an index."""
    assert main(["rag", "ingest", "bank", "docs/*.md", "docs/help"]) == 0
    capsys.readouterr()
    return "bank"


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    """Run a verb with --json and return what it printed."""
    assert main(["rag", *argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_mixed_folder_is_read_as_far_as_it_can_be(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = told(capsys, "ingest", "bank", "docs", code=1)
    assert (report["added"], report["left_out"], report["ok"]) == (4, 1, False)
    assert {each["source"]: each["reason"] for each in report["failed"]} == {
        "broken.pdf": "damaged", "empty.txt": "empty", "photo": "unsupported",
    }  # fmt: skip
    assert main(["rag", "ingest", "bank", "docs"]) == 1
    out, err = capsys.readouterr()
    assert "  empty.txt: empty (no bytes)\n" in out
    assert "\r" not in err  # no bar where nobody watches
    again = told(capsys, "ingest", "bank", "docs", code=1)
    assert (again["added"], again["unchanged"], again["embedded"]) == (0, 4, 0)


def test_once_the_bad_files_are_gone_all_is_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(capsys, "ingest", "bank", "docs", code=1)
    for name in ("empty.txt", "broken.pdf", "photo", "old.md"):
        (folder / name).unlink()
    report = told(capsys, "ingest", "bank", "docs")
    assert (report["removed"], report["unchanged"], report["ok"]) == (1, 3, True)


def test_a_search_finds_and_filters(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["search", index, "what", "does", "a", "replacement", "card", "cost"]
    both = told(capsys, *asked, "-k", "2")["found"]
    assert {each["document"] for each in both} == {"fees.md", "old.md"}
    (new,) = told(capsys, *asked, "-k", "1", "--filter", "version=2026")["found"]
    assert new["document"] == "fees.md"
    assert "$12" in new["text"]
    assert told(capsys, *asked, "--filter", "version>2026")["found"] == []
    lexical = told(capsys, *asked, "--mode", "bm25")["found"]
    assert [each["cosine"] for each in lexical] == [None] * len(lexical)
    assert main(["rag", *asked]) == 0
    assert "fees.md, Fees · score " in capsys.readouterr().out


def test_a_tenant_sees_its_own_and_what_all_see(
    index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deal.md").write_text("# Deal\n\nAcme pays $3 for a replacement card.\n")
    report = told(capsys, "ingest", index, "deal.md", "--tenant", "acme", "--prefix", "acme/")
    assert report["added"] == 1
    asked = ["search", index, "replacement card", "-k", "9"]
    names = {each["document"] for each in told(capsys, *asked)["found"]}
    assert "acme/deal.md" not in names
    own = {each["document"] for each in told(capsys, *asked, "--tenant", "acme")["found"]}
    assert own == {*names, "acme/deal.md"}
    assert told(capsys, "stats", index)["tenants"] == {"": 3, "acme": 1}


def test_an_answer_has_its_citations(
    index: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "What does a replacement card cost on Basic?"
    options = ["-m", "sim/gpt-4o", "--filter", "version=2026", "--budget", "500"]
    answer = told(capsys, "ask", index, question, *options)
    assert "$12" in answer["text"]
    assert [each["document"] for each in answer["citations"]] == ["fees.md"]
    assert "$12" in answer["citations"][0]["text"]
    assert (answer["found"], answer["simulated"], answer["index"]) == (True, True, "bank")
    monkeypatch.setattr("sys.stdin", io.StringIO(question))
    assert main(["rag", "ask", index, "-", *options]) == 0
    out, err = capsys.readouterr()
    assert "[1] fees.md, Fees" in out
    assert "sim/gpt-4o" in err


def test_a_question_beyond_the_documents_is_not_answered(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = told(capsys, "ask", index, "Who won the world cup in 1998?")
    assert answer["found"] is False
    assert answer["citations"] == []
    assert answer["text"] == "The documents do not say."


def test_list_stats_reindex_and_drop(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    (entry,) = told(capsys, "list")["indexes"]
    assert (entry["name"], entry["documents"]) == (index, 3)
    before = told(capsys, "stats", index)
    assert before["waiting"] == 0
    assert before["stored"] == before["chunks"] == before["report"]["count"]
    after = told(capsys, "reindex", index, "--chunker", "sentence", "--size", "16")
    assert after["chunker"].startswith("sentence/")
    assert after["chunks"] > before["chunks"]
    assert after["report"]["longest"] <= 16
    assert told(capsys, "drop", index) == {"dropped": index}
    assert told(capsys, "list") == {"indexes": []}


def test_what_cannot_be_read_again_is_left_out_and_told(
    index: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "old.md").unlink()
    after = told(capsys, "reindex", index, "--chunker", "token", code=1)
    assert [each["source"] for each in after["failed"]] == ["old.md"]
    assert after["documents"] == 2


def test_a_mistyped_folder_leaves_no_index(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rag", "ingest", "bank", "dcos"]) == 1
    out, err = capsys.readouterr()
    assert "  dcos: unreachable (" in out
    assert err == "There was nothing to read, so no index was made\n"
    assert told(capsys, "list") == {"indexes": []}


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["search", "bnak", "x"], 1, "There is no index 'bnak' (did you mean 'bank'?)"),
        (["ask", "bnak", "x"], 1, "There is no index 'bnak'"),
        (["drop", "bnak"], 1, "There is no index 'bnak'"),
        (["reindex", "bnak"], 1, "There is no index 'bnak'"),
        (["ask", "bank", " "], 1, "There is no question"),
        (["ingest", "bank", "docs", "--chunker", "token"], 1, "The index 'bank' has another"),
        (["ingest", "new", "docs", "--store", "chrmoa"], 1, "There is no vector store 'chrmoa'"),
        (["ingest", "new", "docs", "--chunkr", "token"], 2, "--chunkr is not a flag"),
        (["ingest", "n/w", "docs"], 1, "An index cannot have this name"),
        (["ingest", "bank"], 2, "llmops rag ingest needs TARGET"),
        (["search", "bank"], 2, "llmops rag search needs QUESTION"),
        (["search", "bank", "x", "-k", "0"], 2, "'0' is no number of at least 1"),
        (["search", "bank", "x", "--filter", "version"], 2, "'version' is not a filter"),
        (["search", "bank", "x", "--diversity", "2"], 2, "'2' is not between 0 and 1"),
        (["search", "bank", "x", "--mode", "densse"], 2, "'densse' is not a value of --mode"),
        (["serch", "bank", "x"], 2, "'serch' is not a verb of llmops rag (did you mean 'search'?)"),
        (["ask", "bank", "x", "--max-usd", "lots"], 1, "--max-usd is not an amount"),
    ],
)
def test_mistakes_are_told_in_a_few_lines(
    index: str, argv: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rag", *argv]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err.splitlines()[0]
    assert len(err.splitlines()) <= 3


def test_help_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rag"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    verbs = ["ingest", "list", "stats", "search", "ask", "evaluate", "drop", "reindex"]
    assert [word for word in listed if word in verbs] == verbs


def test_a_bar_counts_documents_and_goes_away() -> None:
    seen = io.StringIO()
    with progress_bar(shown=True, after=0, file=seen) as tell:
        assert tell is not None
        for done in range(4):
            tell(done, 3, f"{done}.md" if done < 3 else "")
    written = seen.getvalue()
    assert "/3 [" in written
    assert written.endswith("\r")
    assert "\n" not in written
    with progress_bar(shown=False) as tell:
        assert tell is None


def test_the_choices_are_those_of_the_parts() -> None:
    assert CHUNKERS == MADE
    assert [SearchOptions(mode=mode).mode for mode in MODES] == list(MODES)  # type: ignore[arg-type]


def test_the_doctor_compares_index_and_store(index: str) -> None:
    def found() -> tuple[str, str]:
        (check,) = [each for each in run_checks() if each.name == "index bank"]
        return check.state, check.detail

    assert found()[0] == "ok"
    with Session() as session:
        opened = session.indexes.open(index)
        opened.record.refill()  # as after an ingest that was cut off
    assert found()[0] == "warn"
    with Session() as session:
        opened = session.indexes.open(index)
        opened.catch_up()
        chunk = opened.retriever.search("card")[0].chunk
        opened.vectors.delete([chunk.chunk_id])  # as by somebody else
    state, detail = found()
    assert state == "fail"
    assert "holds 2 of its 3 chunks" in detail
    assert main(["rag", "reindex", index]) == 0
    assert found()[0] == "ok"
