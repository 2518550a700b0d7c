"""Tables that routes are learned from: forms, names, and rows that are not whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel.errors import UsageProblem
from llmops_kernel.routing.table import columns_of, table_of

ROWS: list[dict[str, Any]] = [
    {"text": "One?", "small_ok": True, "large_ok": 1},
    {"text": "Two?", "small_ok": "no", "large_ok": "0.9"},
]


def test_rows_are_read() -> None:
    found = table_of(ROWS)
    assert [(row.text, row.small_ok, row.large_ok) for row in found.rows] == [
        ("One?", 1.0, 1.0), ("Two?", 0.0, 0.9),
    ]  # fmt: skip
    assert found.left_out == {}


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl"])
def test_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    if kind in ("csv", "tsv"):
        mark = "," if kind == "csv" else "\t"
        lines = ["text", "small_ok", "large_ok"], *([*map(str, row.values())] for row in ROWS)
        path.write_text("\n".join(mark.join(line) for line in lines), encoding="utf-8")
    elif kind == "json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
    else:
        path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    assert [row.small_ok for row in table_of(path).rows] == [1.0, 0.0]


def test_a_quoted_text_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('prompt,small_ok\n"A\n\nB, C",True\n', encoding="utf-8")
    assert table_of(path).rows[0].text == "A\n\nB, C"


def test_columns_by_other_names() -> None:
    rows = [{"q": "One?", "cheap": 1, "dear": 0, "paid": "$0.1"}]
    named = columns_of("text=q, small_ok=cheap,large_ok=dear,small_usd=paid")
    (row,) = table_of(rows, columns=named).rows
    assert (row.text, row.small_ok, row.large_ok, row.small_usd) == ("One?", 1.0, 0.0, 0.1)


@pytest.mark.parametrize(
    ("text", "said"),
    [("text", "OURS=THEIRS"), ("txt=q", "did you mean 'text'"), ("text=", "OURS=THEIRS")],
)
def test_wrong_columns(text: str, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        columns_of(text)


def test_rows_that_are_not_whole_are_counted() -> None:
    rows = [
        *ROWS,
        {"text": "", "small_ok": 1},
        {"text": None, "small_ok": 1},
        {"text": "Three?", "small_ok": "perhaps"},
        {"text": "Four?", "small_ok": 7},
    ]
    found = table_of(rows)
    assert len(found.rows) == 2
    assert found.left_out == {"without a question": 2, "without a verdict": 2}


def test_judged_answers_are_joined_by_question() -> None:
    rows = [
        {"text": "One?", "model": "gpt-4o-mini-2024-07-18", "score": 0.2},
        {"text": "One?", "model": "gpt-4o-mini", "score": 0.6},
        {"text": "One?", "model": "openai/gpt-4o", "score": 1},
        {"text": "Two?", "model": "openai/gpt-4o", "score": 1},
        {"text": "Three?", "model": "openai/gpt-4o-mini", "score": 1},
        {"text": "Three?", "model": "other", "score": 1},
        {"text": "Three?", "model": "gpt-4o-mini", "score": None},
    ]
    found = table_of(rows, small="openai/gpt-4o-mini", large="openai/gpt-4o")
    told = [(row.text, row.small_ok, row.large_ok) for row in found.rows]
    assert told == [("One?", pytest.approx(0.4), 1.0), ("Three?", 1.0, None)]
    assert found.left_out == {
        "of another model": 1,
        "without question or score": 1,
        "without an answer of the small model": 1,
    }


def test_anything_with_records() -> None:
    class Frame:
        columns = ("text", "small_ok")

        def to_dict(self, orient: str) -> list[dict[str, Any]]:
            assert orient == "records"
            return ROWS

    assert len(table_of(Frame()).rows) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no row"),
        ([{"a": 1}], "no column with the questions"),
        ([{"text": "One?", "other": 1}], "neither what the small model got right"),
        ([{"text": " ", "small_ok": 1}], "No row of the table is whole"),
        (7, "no table"),
        ({"text": "One?"}, "no table"),
        (["One?"], "no table"),
    ],
)
def test_what_is_no_table(given: Any, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        table_of(given)


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.json", b"{"), ("t.jsonl", b"[1, 2]"), ("t.json", b'{"a": 1}'), ("t.csv", b"\xff\xfe\x00")],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageProblem):
        table_of(tmp_path / name)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        table_of(tmp_path / "none.csv")
