"""Reading labelled questions, and finding quotes whatever became of their markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.errors import UsageProblem
from llmops_kernel.rag.evaluate import load_questions, parse_questions
from llmops_kernel.rag.evaluate.locate import locate
from llmops_kernel.rag.reading import find_sources, read


def test_rows_of_all_forms(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "gold_ids": ["fees.md"]},
        {"id": "q2", "question": "b?", "gold_spans": [{"source": "s", "start": 3, "end": 9}],
         "tenant": "harbor", "kind": "plain"},
        {"id": 3, "question": "c?", "gold_spans": [{"source": "s", "quote": "it is so"}],
         "gold_ids": ["x"]},
        {"question": "d?", "gold_ids": []},
    ]  # fmt: skip
    file = tmp_path / "q.jsonl"
    lines = "\n\n".join(json.dumps(row) for row in rows)
    file.write_bytes(b"\xef\xbb\xbf" + lines.encode() + b"\r\n")
    questions, bad = load_questions(file)
    assert bad == []
    assert [each.id for each in questions] == ["1", "q2", "3", "7"]
    assert [each.has_gold for each in questions] == [True, True, True, False]
    assert questions[1].tenant == "harbor"
    assert questions[0].tenant is None
    assert (questions[1].gold_spans[0].start, questions[1].gold_spans[0].end) == (3, 9)
    assert questions[2].gold_spans[0].quote == "it is so"
    assert questions[3].line == 7


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        (b'{"question": "\xff"}', "not UTF-8"),
        ('{"gold_ids": ["a"]}', "no question"),
        ('{"question": "  ", "gold_ids": ["a"]}', "no question"),
        ('{"question": "a"}', "neither gold_ids nor gold_spans"),
        ('{"question": "a", "gold_ids": "fees.md"}', "gold_ids is not a list"),
        ('{"question": "a", "gold_ids": [""]}', "gold_ids is not a list"),
        ('{"question": "a", "gold_spans": {}}', "gold_spans is not a list"),
        ('{"question": "a", "gold_spans": ["x"]}', "not a JSON object"),
        ('{"question": "a", "gold_spans": [{"quote": "x"}]}', "no source"),
        ('{"question": "a", "gold_spans": [{"source": "s", "quote": " "}]}', "empty quote"),
        ('{"question": "a", "gold_spans": [{"source": "s"}]}', "a quote, or start and end"),
        ('{"question": "a", "gold_spans": [{"source": "s", "start": 5, "end": 5}]}', "start and"),
        ('{"question": "a", "gold_spans": [{"source": "s", "start": -1, "end": 5}]}', "start and"),
        ('{"question": "a", "gold_spans": [{"source": "s", "start": true, "end": 5}]}', "start"),
        ('{"question": "a", "gold_ids": [], "tenant": 3}', "tenant"),
        ('{"id": [], "question": "a", "gold_ids": []}', "id is no text"),
        ('{"id": "one", "question": "a", "gold_ids": []}', "used twice"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_read(line: str | bytes, reason: str) -> None:
    good = '{"id": "one", "question": "a", "gold_ids": ["x"]}'
    questions, bad = parse_questions([good, line])
    assert [each.id for each in questions] == ["one"]
    (row,) = bad
    assert row.line == 2
    assert reason in row.reason
    assert str(row).startswith("line 2")


def test_files_without_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        load_questions(tmp_path / "none.jsonl")
    with pytest.raises(UsageProblem, match="cannot be read"):
        load_questions(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n \n")
    with pytest.raises(UsageProblem, match="no questions"):
        load_questions(tmp_path / "empty.jsonl")


@given(st.lists(st.one_of(st.text(), st.binary()), max_size=8))
def test_no_line_breaks_the_reader(lines: list[str | bytes]) -> None:
    questions, bad = parse_questions(lines)
    assert len(questions) + len(bad) == sum(bool(line.strip()) for line in lines)


HTML = """<!doctype html><html><head><title>Hours</title></head><body>
<h1>Opening hours &amp; days</h1>
<p>The <b>chat</b> is open&nbsp;24/7 and costs nothing &mdash; <a href="/x">read more</a>.</p>
<table><tr><th>Line</th><th>Hours</th></tr>
<tr><td>Phone</td><td>07:00&ndash;22:00 UTC</td></tr>
<tr><td>Lost cards</td><td>always</td></tr></table>
<ol><li>Open the app.</li><li>Tap Help.</li></ol></body></html>"""
CSV = 'code,meaning,fee\nD-01,"no money, or none left",$2\nD-02,blocked,\nD-03,blocked card,$4\n'


def text_of(folder: Path, name: str, content: str) -> str:
    file = folder / name
    file.write_text(content, encoding="utf-8")
    return read(find_sources([str(file)])[0]).text


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("The <b>chat</b> is open&nbsp;24/7 and costs nothing", "The chat is open"),
        ("the chat is open 24/7 and costs nothing - read more.", "The chat is open"),
        ("<tr><td>Phone</td><td>07:00&ndash;22:00 UTC</td></tr>", "Phone"),
        ("Lost cards always", "Lost cards"),
        ("<li>Open the app.</li><li>Tap Help.</li>", "Open the app"),
        ("Opening hours &amp; days", "Opening hours"),
    ],
)
def test_quotes_of_pages_are_found(tmp_path: Path, quote: str, found: str) -> None:
    text = text_of(tmp_path, "hours.html", HTML)
    (place,) = locate(quote, text)
    assert text[place.start : place.end].startswith(found)


@pytest.mark.parametrize("quote", ['D-01,"no money, or none left",$2', "D-03,blocked card,$4"])
def test_rows_of_tables_are_found(tmp_path: Path, quote: str) -> None:
    text = text_of(tmp_path, "codes.csv", CSV)
    (place,) = locate(quote, text)
    held = text[place.start : place.end]
    assert held.startswith(quote[:4])
    assert held.endswith(quote[-2:])


def test_markdown_may_lose_its_marks() -> None:
    text = "# Cards\n\nA **metal** card costs\n$49 _once_; see [prices](/fees.md).\n"
    (place,) = locate("A metal card costs $49 once; see prices.", text)
    assert text[place.start : place.end].startswith("A **metal** card")
    (exact,) = locate("costs\n$49", text)
    assert text[exact.start : exact.end] == "costs\n$49"


def test_what_is_not_there_is_not_found() -> None:
    assert locate("a fee of $40", "There is a fee of $4.") == []
    assert locate("$4", "It was $40, then $41.") == []
    assert locate("card", "Cards and discards") == []
    assert locate("...", "Some text ... here") != []
    assert locate("---", "Some text") == []
    assert locate("", "Some text") == []


def test_a_quote_that_stands_twice_is_found_twice() -> None:
    assert len(locate("It is free.", "It is free. Really. It is free.")) == 2


@given(
    st.lists(st.text("abcXYZ059é", min_size=1, max_size=6), min_size=3, max_size=30),
    st.data(),
)
def test_words_are_found_whatever_stands_between(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first + 1, len(words)))
    between = data.draw(st.lists(st.sampled_from([" ", "\n", " | ", " **", "  "]),
                                 min_size=len(words), max_size=len(words)))  # fmt: skip
    text = "".join(word + gap for word, gap in zip(words, between, strict=True))
    quote = " ".join(words[first:last])
    found = locate(quote, text)
    if any(text[place.start : place.end] == quote for place in found):
        return  # it stands in the text as it is written: no other place counts
    start = sum(len(word) + len(gap) for word, gap in zip(words[:first], between, strict=False))
    assert start in [place.start for place in found]
