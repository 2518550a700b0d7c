"""Tables as text are cut only where the terminal is narrow, and say so; HTML never changes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from fcntl import ioctl
from struct import pack
from termios import TIOCSWINSZ

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.display.room import ENDLESS, text_room
from llmops_kernel.display.table import table
from llmops_kernel.display.text import width

LONG = "8 rows of 92 tokens at most, which is well below what the base has room for, and so on"
COLUMNS = ("Check", "State", "Rows", "Figures")
ROWS = [("truncation", "ok", "1,234,567", LONG), ("labels", "warn", "8", None)]
NOTE = "were cut"


def test_a_notebooks_text_is_as_it_was() -> None:
    _, text = table(COLUMNS, ROWS, "Checks")
    assert "8 rows of 92 tokens at most, which is well below what the b…" in text
    assert NOTE not in text


def test_where_there_is_room_nothing_is_cut() -> None:
    for columns in (ENDLESS, 200):
        with text_room(columns):
            _, text = table(COLUMNS, ROWS, "Checks")
        assert LONG in text
        assert NOTE not in text


def test_a_narrow_terminal_cuts_words_and_says_so() -> None:
    with text_room(60):
        _, text = table(COLUMNS, ROWS, "Checks")
    *lines, note = text.splitlines()
    assert all(width(line) <= 60 for line in lines)
    assert "60 columns" in note
    assert NOTE in note
    assert "1,234,567" in text  # figures stay whole
    assert "truncation" in text


def test_the_widest_cells_give_way_first() -> None:
    with text_room(80):
        _, text = table(("A", "B"), [("x" * 20, "y" * 200)], "t")
    assert "x" * 20 in text
    assert f"{'y' * 57}…" in text


def test_a_terminal_too_narrow_for_anything_keeps_a_beginning() -> None:
    with text_room(5):
        _, text = table(COLUMNS, ROWS, "Checks")
    assert "8 rows of 9" in text


@given(
    st.lists(st.tuples(st.text(max_size=90), st.text(max_size=90)), max_size=4),
    st.integers(0, 120),
)
def test_html_never_depends_on_it(rows: list[tuple[str, str]], columns: int) -> None:
    html, _ = table(("One", "Two"), rows, "t")
    with text_room(columns):
        fitted, text = table(("One", "Two"), rows, "t")
    assert fitted == html
    if columns > 30 and NOTE in text:
        assert all(width(line) <= columns for line in text.splitlines()[:-1])


@pytest.mark.parametrize(("columns", "cut"), [(40, True), (400, False)])
def test_the_command_line_asks_its_terminal(columns: int, cut: bool) -> None:
    mine, theirs = pty.openpty()
    ioctl(theirs, TIOCSWINSZ, pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    program = (sys.executable, "-m", "llmops_kernel.cli", "env", "list")
    with subprocess.Popen(program, stdout=theirs, stdin=theirs, env=env) as running:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(mine, 65_536):
                text += piece
        except OSError:  # how a terminal ends
            pass
        assert running.wait(60) == 0
    os.close(mine)
    assert (NOTE in text.decode()) is cut
