"""Reading GPTCache's SQLite store: its texts and answers, read-only, nothing else of it.

GPTCache (0.1.x) keeps the last message's text, the answer's text and when. It does not keep the
model, the system text, what was said before, nor who asked: none of that can be known from here.
Its vector index and its pickled maps are never opened.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = "sqlite.db"
"""What GPTCache calls its store in a folder."""

_MAGIC = b"SQLite format 3\x00"
_LONGEST = 1_000_000
_TEXT_ANSWER = 0  # its other kinds are images
_TABLES = ("gptcache_question", "gptcache_answer")
_BESIDE = ("gptcache_question_dep", "gptcache_session")
_QUESTIONS = (
    "SELECT id, typeof(question), question, create_on, deleted FROM gptcache_question ORDER BY id"
)
_ANSWERS = "SELECT typeof(answer), answer, answer_type FROM gptcache_answer WHERE question_id = ?"
_SERVED = (
    "SELECT user_question, cache_question, similarity FROM gptcache_report ORDER BY id LIMIT ?"
)
_MOST_SERVED = 100_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A question with its answer, as GPTCache kept them.

    Attributes:
        created: When, in this machine's time zone; None where it does not say.
    """

    number: int
    question: str
    answer: str
    created: datetime | None


@dataclass(frozen=True, slots=True)
class Served:
    """A hit that GPTCache reported: the question asked, and the one whose answer it gave."""

    asked: str
    stored: str
    similarity: float


@dataclass(slots=True)
class Contents:
    """What a store holds.

    Attributes:
        rows: Questions with one plain answer, no text twice.
        served: Hits it reported.
        skipped: Rows left out, by reason.
    """

    rows: list[Stored] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def read(path: Path) -> Contents:
    """Read a store; rows that are damaged, foreign or of an unknown kind are skipped and counted.

    Args:
        path: The SQLite file, or the folder it lies in.

    Raises:
        UsageProblem: There is no such file, or it is no store of GPTCache's.
    """
    file = _file(path)
    found = Contents()
    try:
        with closing(_opened(file)) as base:
            tables = _tables(base)
            if missing := [name for name in _TABLES if name not in tables]:
                raise _foreign(path, f"it has no table {missing[0]}")
            beside = _beside(base, tables, found)
            _read_rows(base, found, beside)
            if "gptcache_report" in tables:
                _read_served(base, found)
    except sqlite3.Error as error:
        raise _foreign(path, str(error)) from None
    return found


def _file(path: Path) -> Path:
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        pickled = path.is_dir() and any(path.glob("data_map*"))
        raise UsageProblem(
            "There is no GPTCache store",
            detail=f"{path} holds a pickled map only" if pickled else f"{file} is no file",
            hint="A pickle can run programs and is never read; export it with GPTCache"
            if pickled
            else f"Give its {FILE}",
        )
    try:
        with file.open("rb") as opened:
            magic = opened.read(len(_MAGIC))
    except OSError as error:
        raise UsageProblem(
            "The GPTCache store cannot be read", detail=f"{file}: {error.strerror}"
        ) from None
    if magic != _MAGIC:
        raise _foreign(path, "it is no SQLite file")
    return file


def _foreign(path: Path, why: str) -> UsageProblem:
    return UsageProblem("This is no GPTCache store", detail=f"{path}: {why}")


def _opened(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    # A file from elsewhere may name functions in views and defaults; none of them is run.
    base.execute("PRAGMA trusted_schema = OFF")
    base.execute("PRAGMA query_only = ON")
    base.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return base


def _tables(base: sqlite3.Connection) -> set[str]:
    return {row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _beside(base: sqlite3.Connection, tables: set[str], found: Contents) -> dict[int, str]:
    """Return the questions that are more than their text, and what they hang on."""
    reasons = dict.fromkeys(_BESIDE, "")
    reasons["gptcache_question_dep"] = "it hangs on other data"
    reasons["gptcache_session"] = "it belongs to a session"
    numbers: dict[int, str] = {}
    asked = {
        "gptcache_question_dep": "SELECT question_id FROM gptcache_question_dep",
        "gptcache_session": "SELECT question_id FROM gptcache_session",
    }
    for name in _BESIDE:
        if name in tables:
            for (number,) in _each(base, asked[name], found):
                numbers[number] = reasons[name]
    return numbers


def _read_rows(base: sqlite3.Connection, found: Contents, beside: dict[int, str]) -> None:
    rows: dict[str, Stored] = {}
    rivals: set[str] = set()
    for number, kind, question, created, deleted in _each(base, _QUESTIONS, found):
        reason = _why_not_question(kind, question, deleted) or beside.get(number, "")
        answer = "" if reason else _answer(base, number, found)
        if reason or answer is None:
            found.skipped[reason or "it has not one plain answer"] += 1
            continue
        stored = Stored(number, question, answer, _moment(created))
        earlier = rows.get(question)
        if earlier is not None and earlier.answer != answer:
            rivals.add(question)
            found.skipped["it was answered in two ways"] += 1
            continue
        found.skipped["it is there twice"] += earlier is not None
        rows[question] = stored
    # Which of two answers was right nobody knows: neither is taken.
    for question in rivals:
        del rows[question]
        found.skipped["it was answered in two ways"] += 1
    found.rows = list(rows.values())
    found.skipped = +found.skipped


def _why_not_question(kind: Any, question: Any, deleted: Any) -> str:
    if deleted not in (0, None):
        return "it was deleted"
    if kind != "text" or not _is_text(question):
        return "its question is no text"
    return ""


def _is_text(value: Any) -> bool:
    """Tell whether it is a text that can be kept: not empty, not endless, UTF-8, no zeros."""
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _answer(base: sqlite3.Connection, number: int, found: Contents) -> str | None:
    """Return the only answer of a question, if it is a plain text."""
    answers = list(_each(base, _ANSWERS, found, (number,)))
    if len(answers) != 1:
        return None
    kind, answer, answer_type = answers[0]
    plain = kind == "text" and answer_type == _TEXT_ANSWER and _is_text(answer)
    return answer if plain else None


def _moment(created: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(created).astimezone()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _read_served(base: sqlite3.Connection, found: Contents) -> None:
    for asked, stored, similarity in _each(base, _SERVED, found, (_MOST_SERVED,)):
        if not (_is_text(asked) and _is_text(stored) and isinstance(similarity, float | int)):
            found.skipped["its report is no hit"] += 1
            continue
        found.served.append(Served(asked, stored, float(similarity)))


def _each(
    base: sqlite3.Connection, query: str, found: Contents, values: tuple[Any, ...] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield rows up to where the file is damaged, if it is."""
    try:
        yield from base.execute(query, values)
    except sqlite3.Error:
        found.skipped["the file is damaged behind it"] += 1
