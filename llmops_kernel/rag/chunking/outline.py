"""The outline of a Markdown text: its sections, and in them blocks that belong together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["heading", "paragraph", "list", "table", "code"]

# LlamaIndex's MarkdownNodeParser rebuilds the text of each section and then searches for it; it
# reads neither underlined headings nor ~~~ fences, has no largest size, and knows no blocks to cut
# between. Ours reads lines, and keeps their places.
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(?=[^ \t\r\n])")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t\r]*$")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})(.*)$")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_RULE = re.compile(r"[ \t]*\|?[ \t:|-]*-[ \t:|-]*[ \t\r]*$")
_MARKUP = re.compile(
    r"!?\[([^\]]*)\]\([^)]*\)|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}|<[^>]*>|\{#[^}]*\}"
)
_LONGEST_HEADING = 120  # characters
_LONGEST_MARK = 1000  # characters of a line that is looked at as a heading or a table's rule

# Formats whose headings are marked as such. Elsewhere "# ..." may be a comment, and is a heading
# only between blank lines.
_MARKED = frozenset({"markdown", "html", "docx", "notebook"})


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together.

    Attributes:
        kind: What they are.
        lines: (first character, one past the last character) of each, without empty ones.
    """

    kind: Kind
    lines: tuple[tuple[int, int], ...]

    @property
    def start(self) -> int:
        """First character."""
        return self.lines[0][0]

    @property
    def end(self) -> int:
        """One past the last character."""
        return self.lines[-1][1]


@dataclass(slots=True)
class Section:
    """A heading with what stands under it, up to the next heading.

    Attributes:
        path: The headings above and its own, outermost first; empty before the first heading.
        blocks: Its blocks, the heading's first.
    """

    path: tuple[str, ...] = ()
    blocks: list[Block] = field(default_factory=list)

    @property
    def bare(self) -> bool:
        """Whether nothing stands under its heading."""
        return all(block.kind == "heading" for block in self.blocks)


def outline(text: str, media: str = "markdown") -> list[Section]:
    """Return the sections of a text in order; their blocks hold every character but spaces."""
    sections = [Section()]
    above: list[tuple[int, str]] = []
    for level, block in _blocks(text, marked=media in _MARKED):
        if level:
            while above and above[-1][0] >= level:
                above.pop()
            above.append((level, _title(text, block)))
            sections.append(Section(tuple(title for _, title in above if title)))
        sections[-1].blocks.append(block)
    return [section for section in sections if section.blocks]


def _title(text: str, block: Block) -> str:
    line = text[block.start : min(block.lines[0][1], block.start + 3 * _LONGEST_HEADING)].strip()
    match = _ATX.match(line)
    title = line[match.end() :] if match else line
    bare = title.rstrip("#")  # "## Fees ##" may be closed, "## C#" is not
    if not bare or bare[-1] in " \t":
        title = bare
    title = " ".join(_MARKUP.sub(lambda m: m[1] or "", title).split())
    return title[:_LONGEST_HEADING]


def _blocks(text: str, *, marked: bool) -> Iterator[tuple[int, Block]]:
    """Every block, with the level of a heading; 0 for the others."""
    lines = list(_lines(text))
    at = 0
    while at < len(lines):
        line = text[slice(*lines[at])]
        if not line.strip():
            at += 1
            continue
        level, stop = _heading(text, lines, at, marked=marked)
        kind: Kind = "heading"
        if not level:
            kind, stop = _body(text, lines, at, marked=marked)
        held = tuple(span for span in lines[at:stop] if text[slice(*span)].strip())
        yield level, Block(kind, held)
        at = stop


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _heading(text: str, lines: list[tuple[int, int]], at: int, *, marked: bool) -> tuple[int, int]:
    """The level of the heading that begins at a line, 0 for none, and the line after it."""
    if lines[at][1] - lines[at][0] > _LONGEST_MARK:
        return 0, at
    match = _ATX.match(text, *lines[at])
    if match and (marked or _is_apart(text, lines, at)):
        return len(match[1]), at + 1
    if at + 1 >= len(lines) or lines[at][1] - lines[at][0] > 2 * _LONGEST_HEADING:
        return 0, at
    under = _UNDERLINE.match(text, *lines[at + 1])
    if not under or (len(under[1]) < 3 and not marked):
        return 0, at
    line = text[slice(*lines[at])]
    if _begins_other(line) or "|" in line or line.strip(" \t\r=-*_") == "":
        return 0, at
    return (1 if under[1][0] == "=" else 2), at + 2


def _is_apart(text: str, lines: list[tuple[int, int]], at: int) -> bool:
    neighbours = (at - 1, at + 1)
    return all(
        not 0 <= other < len(lines) or not text[slice(*lines[other])].strip()
        for other in neighbours
    )


def _begins_other(line: str) -> bool:
    return bool(_FENCE.match(line) or _ITEM.match(line)) or line.lstrip().startswith("|")


def _body(text: str, lines: list[tuple[int, int]], at: int, *, marked: bool) -> tuple[Kind, int]:
    """The kind of the block that begins at a line, and the line after it."""
    line = text[slice(*lines[at])]
    fence = _FENCE.match(line)
    if fence and not (fence[1][0] == "`" and "`" in fence[2]):
        return "code", _fence_end(text, lines, at, fence[1])
    if _is_table(text, lines, at):
        stop = at + 1
        while stop < len(lines) and "|" in text[slice(*lines[stop])]:
            stop += 1
        return "table", stop
    if _ITEM.match(line):
        return "list", _list_end(text, lines, at, marked=marked)
    stop = at + 1
    while stop < len(lines):
        following = text[slice(*lines[stop])]
        if not following.strip() or _begins_other(following):
            break
        if _heading(text, lines, stop, marked=marked)[0] or _is_table(text, lines, stop):
            break
        stop += 1
    return "paragraph", stop


def _fence_end(text: str, lines: list[tuple[int, int]], at: int, mark: str) -> int:
    for stop in range(at + 1, len(lines)):
        match = _FENCE.match(text, *lines[stop])
        if match and match[1].startswith(mark) and not match[2].strip():
            return stop + 1
    return len(lines)  # never closed: the rest of the text, as CommonMark has it


def _is_table(text: str, lines: list[tuple[int, int]], at: int) -> bool:
    line = text[slice(*lines[at])]
    if line.lstrip().startswith("|"):
        return True
    if "|" not in line or at + 1 >= len(lines):
        return False
    return _is_rule(text, lines[at + 1])


def _is_rule(text: str, line: tuple[int, int]) -> bool:
    """Whether a line is what stands between the head and the body of a table: ``|---|:-:|``."""
    mark = text[slice(*line)]
    return len(mark) <= _LONGEST_MARK and "|" in mark and bool(_RULE.match(mark))


def _list_end(text: str, lines: list[tuple[int, int]], at: int, *, marked: bool) -> int:
    stop = at + 1
    while stop < len(lines):
        line = text[slice(*lines[stop])]
        if not line.strip():
            # A blank line ends the list unless an item or an indented line follows.
            following = text[slice(*lines[stop + 1])] if stop + 1 < len(lines) else ""
            if not following.strip() or not (_ITEM.match(following) or following[0] in " \t"):
                break
        elif line[0] not in " \t" and not _ITEM.match(line):
            blank_before = not text[slice(*lines[stop - 1])].strip()
            if blank_before or _begins_other(line):
                break
            if _heading(text, lines, stop, marked=marked)[0] or _is_table(text, lines, stop):
                break
        stop += 1
    return stop


def rows_of(text: str, block: Block) -> list[tuple[int, int]]:
    """Return the places where a list's items begin and end, or a table's or a listing's lines."""
    if block.kind != "list":
        return list(block.lines)
    spans: list[tuple[int, int]] = []
    for start, end in block.lines:
        if _ITEM.match(text, start, end) or not spans:
            spans.append((start, end))
        else:
            spans[-1] = (spans[-1][0], end)
    return spans


def head_lines(text: str, block: Block) -> int:
    """Return how many lines of a table are its head."""
    if block.kind != "table" or len(block.lines) < 2:
        return 0
    return 2 if _is_rule(text, block.lines[1]) else 1
