"""Two corners of IPython's input syntax in which ``%ask``, ``%rag`` and others would not arrive.

A line that ends in ``?`` asks for help on its last word, which is how most questions end; and a
cell magic without a body is refused by IPython's own UsageError, which fails no cell in nbval.
"""

from __future__ import annotations

import re
from tokenize import DEDENT, INDENT
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign, TokenTransformBase

if TYPE_CHECKING:
    from tokenize import TokenInfo

    from IPython.core.interactiveshell import InteractiveShell

Lines = list["TokenInfo"]

_BEFORE_HELP = 4  # IPython's help syntax has priority 5; the lower one wins
_EMPTY_CELL = re.compile(
    r"get_ipython\(\)\.run_cell_magic\('(?P<name>ask|judge|rag)', (?P<line>.*), ''\)\n?"
)
_ASKING = ("ask", "rag", "cache")


class Question(EscapedCommand):
    """``%ask What is a ledger?`` is a question; ``%ask?`` stays a request for help."""

    priority = _BEFORE_HELP

    @classmethod
    def find(cls, tokens_by_line: list[Lines]) -> Question | None:
        """Find the first line of this kind."""
        for line in map(_without_indent, tokens_by_line):
            if _asks(line):
                return cls(line[0].start)
        return None


class AssignedQuestion(TokenTransformBase):
    """``answer = %ask What is a ledger?``."""

    priority = _BEFORE_HELP

    def __init__(self, start: tuple[int, int], percent: tuple[int, int]) -> None:
        super().__init__(start)  # type: ignore[no-untyped-call]
        self._assignment = MagicAssign(percent)  # type: ignore[no-untyped-call]

    @classmethod
    def find(cls, tokens_by_line: list[Lines]) -> AssignedQuestion | None:
        """Find the first assignment of this kind."""
        for line in map(_without_indent, tokens_by_line):
            for place, token in enumerate(line):
                if token.string == "=" and _asks(line[place + 1 :]):
                    # The earliest transformer in a line goes first, and help begins with the line.
                    return cls(line[0].start, line[place + 1].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Do as for any other magic."""
        return list(self._assignment.transform(lines))


def with_body(lines: list[str]) -> list[str]:
    """Give ``%%ask`` and others without a body an empty line (an input transformer)."""
    match = _EMPTY_CELL.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None:
        return lines
    return [f"get_ipython().run_cell_magic('{match['name']}', {match['line']}, '\\n')\n"]


def register(shell: InteractiveShell) -> None:
    """Add all of it to a shell."""
    shell.input_transformers_post.append(with_body)
    shell.input_transformer_manager.token_transformers.extend([Question, AssignedQuestion])


def unregister(shell: InteractiveShell) -> None:
    """Take it out again."""
    shell.input_transformers_post.remove(with_body)
    for each in (Question, AssignedQuestion):
        shell.input_transformer_manager.token_transformers.remove(each)


def _asks(line: Lines) -> bool:
    # The last token is the line's end.
    words = [token.string for token in line]
    begins = len(words) > 4 and words[0] == "%" and words[1] in _ASKING
    return begins and words[2] != "?" and words[-2] == "?"


def _without_indent(line: Lines) -> Lines:
    return [token for token in line if token.type not in (INDENT, DEDENT)]
