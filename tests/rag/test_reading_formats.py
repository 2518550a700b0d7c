"""Markdown, HTML, text, tables, notebooks, RTF, and encodings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops_kernel.rag.documents import Document
from llmops_kernel.rag.reading import Unreadable, find_sources, read


def document(folder: Path, name: str, data: str | bytes, tenant: str = "") -> Document:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    (source,) = find_sources([str(path)])
    return read(source, tenant=tenant)


def refused(folder: Path, name: str, data: str | bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        document(folder, name, data)
    return caught.value


def test_markdown_with_yaml_before_it(tmp_path: Path) -> None:
    text = (
        "---\ntitle: Fees 2026\nversion: 2\nvalid: 2026-01-01\ntags: [cards, fees]\n"
        "owner:\n  team: pricing\nempty:\n---\n# Fees\n\nA card costs 6.\n"
    )
    made = document(tmp_path, "fees.md", text, tenant="acme")
    assert made == Document(
        source="fees.md",
        text="# Fees\n\nA card costs 6.\n",
        title="Fees 2026",
        tenant="acme",
        metadata={
            "version": 2,
            "valid": "2026-01-01",
            "tags": "cards, fees",
            "owner.team": "pricing",
        },
        media="markdown",
    )


@pytest.mark.parametrize(
    ("text", "title", "kept"),
    [
        ("# The *first* [heading](x) #\n\ntext", "The first heading", "# The"),
        ("Under\n=====\n\ntext", "Under", "Under"),
        ("```\n# code\n```\n\n## Real\n", "Real", "```"),
        ("no heading at all", "file.md", "no heading"),
        ("+++\ntitle = 'TOML'\n+++\ntext", "TOML", "text"),
        ("---\nnot: [closed\n---\n# H\n", "H", "---\nnot"),
        ("---\nonly a rule\n---\n# H\n", "H", "---\nonly"),
        ("---\ndate: 2024-13-45\n---\n# H\n", "H", "---\ndate"),
        ("---\n---\n# H\n", "H", "---\n---"),
    ],
)
def test_markdown_titles(tmp_path: Path, text: str, title: str, kept: str) -> None:
    made = document(tmp_path, "file.md", text)
    assert made.title == title
    assert made.text.startswith(kept)


def test_front_matter_that_unfolds_stays_small(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    made = document(tmp_path, "bomb.md", f"---\n{bomb}many: [{'y, ' * 5000}y]\n---\ntext")
    assert made.text == "text"
    assert all(len(str(value)) <= 1000 for value in made.metadata.values())


PAGE = """<!doctype html><html lang="en"><head><title> Fees |
 Bank </title><meta name="author" content="Desk"><style>p {color: red}</style></head><body>
<nav><a href="/">Home</a><a href="/x">More</a></nav>
<header><h1>Card fees<a class="headerlink">&para;</a></h1></header>
<script>track("you")</script><div hidden>unseen</div><div style="display: none">unseen</div>
<div>Plain <b>bold</b> text,<br>a new line &amp; <code>code()</code>.</div>
<ul><li>One<ul><li>Inner</li></ul></li><li><p>Two</p></li></ul>
<ol><li>First</li><li>Second</li></ol>
<table><caption>Prices</caption><thead><tr><th>Service</th><th>Basic</th></tr></thead>
<tbody><tr><td>New | card</td><td><b>6</b> euros</td></tr><tr><td>Post</td></tr></tbody></table>
<table><tr><td><table><tr><td>layout</td><td>cell</td></tr></table></td></tr></table>
<pre>  keep
    this</pre><button>Buy</button><img alt="A card" src="x.png">
<!-- a comment --><footer>Imprint</footer></body></html>"""


def test_html_as_a_person_reads_it(tmp_path: Path) -> None:
    made = document(tmp_path, "fees.html", PAGE)
    assert made.title == "Fees | Bank"
    assert made.media == "html"
    assert made.metadata == {"language": "en", "author": "Desk"}
    assert made.text == (
        "# Card fees\n\nPlain bold text,\na new line & `code()`.\n\n- One\n  - Inner\n- Two\n"
        "1. First\n2. Second\n\nPrices\n\n| Service | Basic |\n| --- | --- |\n"
        "| New \\| card | 6 euros |\n| Post |  |\n\n| layout | cell |\n| --- | --- |\n\n"
        "```\n  keep\n    this\n```\n\nA card"
    )


def test_html_with_a_main_part(tmp_path: Path) -> None:
    main = "The part that matters. " * 20
    made = document(tmp_path, "m.html", f"<p>Around</p><main><p>{main}</p></main><p>Below")
    assert made.text == main.strip()


def test_html_that_nobody_closed(tmp_path: Path) -> None:
    made = document(tmp_path, "deep.html", "<div>" * 5_000 + "<p>In the deep<li>item<td>cell")
    assert made.text.split() == ["In", "the", "deep", "-", "item", "cell"]


def test_html_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    head = '<meta charset="windows-1251"><title>\u0411\u0430\u043d\u043a</title>'
    page = f"{head}<p>\u0426\u0435\u043d\u0430"
    made = document(tmp_path, "ru.html", page.encode("cp1251"))
    assert (made.title, made.text) == ("\u0411\u0430\u043d\u043a", "\u0426\u0435\u043d\u0430")


def test_csv_rows_are_blocks(tmp_path: Path) -> None:
    data = 'name;"fee; euros";note\r\nCard;6;"two\nlines"\r\nPost;15;\r\n\r\nOdd;1;2;3\r\n'
    made = document(tmp_path, "fees.csv", data)
    assert made.text == (
        "name: Card\nfee; euros: 6\nnote: two lines\n\nname: Post\nfee; euros: 15\n\n"
        "name: Odd\nfee; euros: 1\nnote: 2\ncolumn 4: 3"
    )
    assert (made.media, made.title, made.metadata) == ("csv", "fees.csv", {"rows": 3})


@pytest.mark.parametrize(
    ("name", "data", "first"),
    [
        ("a.tsv", "a, b\tc\nx, y\tz\n", "a, b: x, y\nc: z"),
        ("a.csv", "1,2\n3,4\n", "column 1: 1\ncolumn 2: 2"),
        ("a.csv", ",city\n0,Rome\n1,Oslo\n", "column 1: 0\ncity: Rome"),
        ("a.csv", "one column\nvalue, with comma\nother\n", "one column: value, with comma"),
        ("a.csv", "a|b\n1|2\n", "a: 1\nb: 2"),
        ("a.csv", "only,a,head\n", "only, a, head"),
    ],
)
def test_tables_of_all_kinds(tmp_path: Path, name: str, data: str, first: str) -> None:
    assert document(tmp_path, name, data).text.split("\n\n")[0] == first


def test_a_notebook(tmp_path: Path) -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["\x1b[31mred\x1b[0m\n", "```\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["42"], "text/html": "<b>"}},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo"}},
        {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": []},
        {"output_type": "stream", "text": "y" * 100_000},
    ]
    book = {
        "nbformat": 4,
        "metadata": {"kernelspec": {"language": "python", "name": "python3"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Fees\n", "\n", "Text."]},
            {"cell_type": "code", "source": "print(6)", "outputs": outputs},
            {"cell_type": "code", "source": "", "outputs": []},
        ],
    }
    made = document(tmp_path, "n.ipynb", json.dumps(book))
    assert made.title == "Fees"
    assert made.media == "notebook"
    assert made.metadata == {"code": "python"}
    assert made.text.startswith(
        "# Fees\n\nText.\n\n```python\nprint(6)\n```\n\n````\nred\n```\n````\n\n```\n42\n```\n\n"
        "```\nValueError: bad\n```\n\n```\nyyy"
    )
    assert "iVBOR" not in made.text
    assert len(made.text) < 5_000


def test_a_notebook_of_version_3(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Old"},
        {
            "cell_type": "code",
            "input": ["x = 1"],
            "outputs": [{"output_type": "pyout", "text": "1"}],
        },
    ]
    made = document(tmp_path, "n.ipynb", json.dumps({"worksheets": [{"cells": cells}]}))
    assert made.text == "## Old\n\n```\nx = 1\n```\n\n```\n1\n```"


@pytest.mark.parametrize("data", ["{", "[]", '{"cells": 3}', "[" * 100_000])
def test_what_is_no_notebook(tmp_path: Path, data: str) -> None:
    assert refused(tmp_path, "n.ipynb", data).reason == "damaged"


def test_rtf(tmp_path: Path) -> None:
    made = document(tmp_path, "a.rtf", rb"{\rtf1\ansi Fees \'e4nd {\b bold} text.\par Next.}")
    assert made.text == "Fees \u00e4nd bold text.\nNext."
    assert refused(tmp_path, "b.rtf", "no such thing").reason == "damaged"


WORDS = "Pr\u00e9cis: d\u00e9j\u00e0 vu, na\u00efve caf\u00e9, \u00e0 la carte, pi\u00f1ata. " * 5


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-le", "utf-16-be"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    made = document(tmp_path, "a.txt", WORDS.encode(encoding))
    assert made.text == WORDS


def test_cyrillic_is_guessed(tmp_path: Path) -> None:
    text = (
        "\u041a\u0430\u0440\u0442\u0430 \u0441\u0442\u043e\u0438\u0442 "
        "\u0448\u0435\u0441\u0442\u044c \u0435\u0432\u0440\u043e \u0432 \u0433\u043e\u0434. "
    ) * 20
    assert document(tmp_path, "a.txt", text.encode("cp1251")).text == text


def test_line_ends_become_one_kind(tmp_path: Path) -> None:
    assert document(tmp_path, "a.txt", "a\r\nb\rc\nd").text == "a\nb\nc\nd"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.md", b" \n\t\n", "empty"),
        ("a.md", b"---\ntitle: nothing else\n---\n", "empty"),
        ("a.html", b"<script>only()</script>", "empty"),
        ("a.csv", b",,,\n,,,\n", "empty"),
        ("a.txt", b"\x00\x01\x02\x03binary\x00\xff", "wrong encoding"),
        ("a.txt", b"\xff\xfea", "wrong encoding"),
        ("a.md", b"\xef\xbb\xbf\xff\xff\xff", "wrong encoding"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "unsupported"),
        ("a.zip", b"PK\x03\x04" + b"\0" * 600, "unsupported"),
    ],
)
def test_bad_input(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    assert refused(tmp_path, name, data).reason == reason


@pytest.mark.parametrize("name", ["a.md", "a.html", "a.csv", "a.txt"])
def test_the_same_bytes_give_the_same_document(tmp_path: Path, name: str) -> None:
    first = document(tmp_path, name, PAGE)
    again = document(tmp_path, name, PAGE)
    assert first.digest == again.digest
    assert first.digest != document(tmp_path, name, PAGE.replace("Post", "Mail")).digest


def test_hidden_needs_no_reading(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / ".x.md").write_text("# X")
    (source,) = find_sources([str(tmp_path / "docs")])
    with pytest.raises(Unreadable, match="hidden"):
        read(source)
