"""GPTCache's store is read without trust: what is odd is left out, and nothing of it is run."""

from __future__ import annotations

import csv
import json
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cache_desk import body
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache.importers.gptcache import read
from llmops_kernel.calls import ChatRequest, Reply
from llmops_kernel.cli import main
from llmops_kernel.errors import UsageProblem

# As its ORM (SQLAlchemy) creates them.
SCHEMA = """
CREATE TABLE gptcache_question (id INTEGER NOT NULL, question VARCHAR(3000) NOT NULL,
  create_on DATETIME, last_access DATETIME, embedding_data BLOB, deleted INTEGER, PRIMARY KEY (id));
CREATE TABLE gptcache_answer (id INTEGER NOT NULL, question_id INTEGER NOT NULL,
  answer VARCHAR(3000) NOT NULL, answer_type INTEGER NOT NULL, PRIMARY KEY (id));
CREATE TABLE gptcache_question_dep (id INTEGER NOT NULL, question_id INTEGER NOT NULL,
  dep_name VARCHAR(1000) NOT NULL, dep_data VARCHAR(3000) NOT NULL, dep_type INTEGER NOT NULL,
  PRIMARY KEY (id));
CREATE TABLE gptcache_session (id INTEGER NOT NULL, question_id INTEGER NOT NULL,
  session_id VARCHAR(1000) NOT NULL, session_question VARCHAR(3000) NOT NULL, PRIMARY KEY (id));
CREATE TABLE gptcache_report (id INTEGER NOT NULL, user_question VARCHAR(3000) NOT NULL,
  cache_question_id INTEGER NOT NULL, cache_question VARCHAR(3000) NOT NULL,
  cache_answer VARCHAR(3000) NOT NULL, similarity FLOAT NOT NULL, cache_delta_time FLOAT NOT NULL,
  cache_time DATETIME, extra VARCHAR(3000), PRIMARY KEY (id));
"""
SETTINGS = """
model = "stub/stub-1"
[providers.stub]
base_url = "{url}"
[prices."stub/stub-1"]
input = 1
output = 2
"""
BLOCK = "How do I block my card?"
FEES = "What does a transfer to Spain cost?"


class Made:
    """A store as GPTCache writes it, with rows of one's own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(sqlite3.connect(path)) as base:
            base.executescript(SCHEMA)

    def put(
        self,
        question: Any,
        *answers: Any,
        age: timedelta = timedelta(hours=1),
        created: Any = None,
        deleted: int = 0,
        kind: int = 0,
    ) -> int:
        """Put a question in; returns its number."""
        moment = created if created is not None else str(datetime.now() - age)  # noqa: DTZ005 - GPTCache writes it so
        with closing(sqlite3.connect(self.path)) as base:
            row = base.execute(
                "INSERT INTO gptcache_question (question, create_on, last_access, embedding_data, "
                "deleted) VALUES (?, ?, ?, ?, ?)", (question, moment, moment, b"\x80\x04", deleted),
            )  # fmt: skip
            for answer in answers:
                base.execute(
                    "INSERT INTO gptcache_answer (question_id, answer, answer_type) "
                    "VALUES (?, ?, ?)", (row.lastrowid, answer, kind),
                )  # fmt: skip
            base.commit()
            assert row.lastrowid is not None
            return row.lastrowid

    def run(self, statement: str, *values: Any) -> None:
        """Run one statement."""
        with closing(sqlite3.connect(self.path)) as base:
            base.execute(statement, values)
            base.commit()


@pytest.fixture
def store(tmp_path: Path) -> Made:
    return Made(tmp_path / "sqlite.db")


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubUpstream]:
    monkeypatch.chdir(tmp_path)
    with StubUpstream() as server:
        (tmp_path / "llmops.toml").write_text(SETTINGS.format(url=server.base_url))
        yield server


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], store: Made) -> Callable[..., Any]:
    """Runs ``llmops cache import`` on the store; returns its JSON."""

    def run(*argv: str) -> Any:
        assert main(["cache", "import", "gptcache", str(store.path), *argv, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


AS_ANSWERS = ("--as-answers", "--model", "stub/stub-1")


def _ask(session: Session, text: str, **fields: Any) -> Reply:
    return session.call(ChatRequest.from_body(body(text, **fields)))


def test_plain_rows_are_read(store: Made) -> None:
    store.put(BLOCK, "In the app.")
    contents = read(store.path)
    assert [(row.question, row.answer) for row in contents.rows] == [(BLOCK, "In the app.")]
    assert contents.rows[0].created is not None
    assert not contents.skipped
    assert read(store.path.parent).rows == contents.rows  # the folder will do


def test_odd_rows_are_left_out_and_counted(store: Made) -> None:
    store.put(FEES, "12 euros")
    store.put("deleted", "x", deleted=-1)
    store.put(b"\x80\x04bytes", "x")
    store.put(" ", "x")
    store.put("a zero \0 in it", "x")
    store.put("a picture", "x", kind=1)
    store.put("no answer")
    store.put("two answers", "x", "y")
    store.put("bytes again", b"\x00\x01")
    store.run("INSERT INTO gptcache_question_dep VALUES (1, ?, 'file', 'a.txt', 0)",
              store.put("summarize the file", "x"))  # fmt: skip
    store.run("INSERT INTO gptcache_session VALUES (1, ?, 's1', 'q')", store.put("and then?", "x"))
    store.put("asked twice", "one")
    store.put("asked twice", "another")
    store.put("the same again", "z")
    store.put("the same again", "z")
    with closing(sqlite3.connect(store.path)) as base:
        base.execute("UPDATE gptcache_question SET question = CAST(x'66ff6f' AS TEXT) "
                     "WHERE question = 'a picture'")  # fmt: skip
        base.commit()
    contents = read(store.path)
    assert [row.question for row in contents.rows] == [FEES, "the same again"]
    assert contents.skipped == {
        "it was deleted": 1,
        "its question is no text": 4,
        "it has not one plain answer": 3,
        "it hangs on other data": 1,
        "it belongs to a session": 1,
        "it was answered in two ways": 2,
        "it is there twice": 1,
    }


def test_a_damaged_file_gives_what_lies_before_the_damage(store: Made) -> None:
    with closing(sqlite3.connect(store.path)) as base:
        base.executemany(
            "INSERT INTO gptcache_question (question, deleted) VALUES (?, 0)",
            [(f"Question {number}: what does it cost? {'long ' * 40}",) for number in range(3_000)],
        )
        base.execute("INSERT INTO gptcache_answer (question_id, answer, answer_type) "
                     "SELECT id, 'x', 0 FROM gptcache_question")  # fmt: skip
        base.execute("CREATE INDEX by_question ON gptcache_answer (question_id)")
        base.commit()
    raw = bytearray(store.path.read_bytes())
    page = 4096
    leaf = next(at for at in range(len(raw) // 2 // page * page, 0, -page) if raw[at] == 13)
    raw[leaf] = 77  # no kind of page
    store.path.write_bytes(raw)
    contents = read(store.path)
    assert 0 < len(contents.rows) < 3_000
    assert contents.skipped["the file is damaged behind it"] >= 1


@pytest.mark.parametrize("content", [b"", b"question,answer\n", pickle.dumps({"q": "a"})])
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache.db"
    path.write_bytes(content)
    with pytest.raises(UsageProblem, match="no GPTCache store"):
        read(path)


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as base:
        # A view of that name could compute anything.
        base.execute("CREATE VIEW gptcache_question AS SELECT 1 AS id")
        base.execute("CREATE TABLE gptcache_answer (id INTEGER)")
        base.commit()
    with pytest.raises(UsageProblem, match="no GPTCache store"):
        read(path)


def test_a_pickled_map_is_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "data_map.txt").write_bytes(pickle.dumps({"q": "a"}))
    with pytest.raises(UsageProblem) as caught:
        read(tmp_path)
    assert "pickled map" in str(caught.value.detail)


def test_the_store_is_not_changed(store: Made) -> None:
    store.put(BLOCK, "In the app.")
    before = store.path.read_bytes()
    read(store.path)
    assert store.path.read_bytes() == before
    assert [file.name for file in store.path.parent.iterdir()] == [store.path.name]


def test_without_a_choice_nothing_is_written(
    store: Made, told: Callable[..., Any], provider: StubUpstream
) -> None:
    store.put(BLOCK, "In the app.")
    assert told() == {"rows": 1, "served": 0, "skipped": {}, "dry_run": False}
    with Session() as session:
        assert session.cache.stats().entries == 0


def test_answers_are_served_on_a_persons_word(
    store: Made, told: Callable[..., Any], provider: StubUpstream
) -> None:
    store.put(BLOCK, "In the app.")
    store.put("What is my balance?", "12 euros")
    store.put("What is the news today?", "none")
    facts = told(*AS_ANSWERS, "--system", "You are kind.")
    assert facts["kept"] == 1
    assert facts["not_kept"] == {"it is personal": 1, "it depends on the time": 1}
    said = [{"role": "system", "content": "You are kind."}]
    with Session() as session:
        asked = [*said, {"role": "user", "content": BLOCK}]
        reply = session.call(ChatRequest.from_body(body(messages=asked)))
        assert (reply.text, reply.tier, reply.cost_nano) == ("In the app.", "exact", 0)
        near = [*said, {"role": "user", "content": "hi, how can i block my card pls"}]
        assert session.call(ChatRequest.from_body(body(messages=near))).tier == "near_verbatim"
        assert not provider.requests
        # Another system text is another question, and so is another tenant's.
        assert _ask(session, BLOCK).tier == ""
        other = session.call(ChatRequest.from_body(body(messages=asked)), tenant="other")
        assert other.tier == ""
        assert session.cache.clear(tag="import:gptcache") == 1


def test_an_answer_that_is_there_stays(
    store: Made, told: Callable[..., Any], provider: StubUpstream
) -> None:
    store.put(BLOCK, "Imported.")
    with Session() as session:
        own = _ask(session, BLOCK)
        session.store.flush()
    assert told(*AS_ANSWERS)["not_kept"] == {"the cache has an answer": 1}
    with Session() as session:
        assert _ask(session, BLOCK).text == own.text != "Imported."


def test_age_counts(store: Made, told: Callable[..., Any], provider: StubUpstream) -> None:
    store.put(BLOCK, "old", age=timedelta(days=8))
    store.put(FEES, "no date", created="never")
    store.put("Do you charge for cash?", "from the future", age=timedelta(days=-3))
    store.put("How many cards can a person have?", "young")
    found = told(*AS_ANSWERS, "--dry-run")
    assert found["kept"] == 1
    assert found["not_kept"] == {
        "it is too old, or from the future": 2,
        "it does not say how old it is": 1,
    }
    assert told(*AS_ANSWERS, "--max-age-days", "30")["kept"] == 2
    with Session() as session:
        assert _ask(session, BLOCK).text == "old"


def test_a_dry_run_keeps_nothing(
    store: Made, told: Callable[..., Any], provider: StubUpstream
) -> None:
    store.put(BLOCK, "In the app.")
    assert told(*AS_ANSWERS, "--dry-run")["kept"] == 1
    with Session() as session:
        assert _ask(session, BLOCK).tier == ""


def test_answers_need_their_model(store: Made, provider: StubUpstream) -> None:
    store.put(BLOCK, "In the app.")
    assert main(["cache", "import", "gptcache", str(store.path), "--as-answers"]) != 0
    assert main(["cache", "import", "gptcache", str(store.path), "--model", "stub/stub-1"]) != 0


def test_pairs_are_written_without_a_label(
    store: Made, told: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put(BLOCK, "In the app.")
    store.put("Where do I block my card?", "In the app.")
    store.run(
        "INSERT INTO gptcache_report (user_question, cache_question_id, cache_question, "
        "cache_answer, similarity, cache_delta_time) VALUES (?, 1, ?, 'In the app.', 0.83, 0.1)",
        "How do I unblock my card?", BLOCK,
    )  # fmt: skip
    out = tmp_path / "pairs.csv"
    assert told("--pairs", str(out))["pairs"] == 2
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["a"], row["b"], row["label"], row["why"]) for row in rows] == [
        (BLOCK, "How do I unblock my card?", "", "served"),
        (BLOCK, "Where do I block my card?", "", "same answer"),
    ]
    # Nobody's work on the labels is overwritten, and without labels nothing is counted.
    assert main(["cache", "import", "gptcache", str(store.path), "--pairs", str(out)]) != 0
    capsys.readouterr()
    assert main(["cache", "evaluate", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["bad_rows"]["count"]) == (0, 2)
