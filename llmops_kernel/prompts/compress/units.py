"""A text in pieces that are kept or dropped whole: sentences, list items, table rows, code."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from llmops_kernel.calls.offline.language.text import sentences
from llmops_kernel.prompts.compress.protect import frozen_spans, is_marked

_HEADING = re.compile(r"\s{0,3}(#{1,6})\s")
_OPEN = re.compile(r"\s*<([A-Za-z][\w-]*)(?:\s[^<>]*)?>\s*$")
_CLOSE = re.compile(r"\s*</([A-Za-z][\w-]*)>\s*$")
_ROW = re.compile(r"\s*\|")
_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_DATA = re.compile(r"\S[,;]\S[^,;]*[,;]\S|\t")  # a line of separated values
_KEY = re.compile(r"[A-Za-z][\w /()-]{0,38}:(?:\s|$)")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]\s|\(?\d{1,3}[.)]\s|>)")
# What begins like this means something only after the sentence before it.
_LEANS = re.compile(
    r"(?:but|however|except|unless|otherwise|instead|therefore|also|then|this|that|these|those|it"
    r"|they|he|she|in that case|after that|nor|or)\b",
    re.IGNORECASE,
)
_SHORT = 46  # characters of a line that was not broken for want of room
_LONGEST = 1_000  # characters; a longer "sentence" is data and stays in one piece


@dataclass(frozen=True, slots=True)
class Unit:
    """One piece.

    Attributes:
        text: The piece, as it stands in the text.
        block: Number of the paragraph, list item, row or fence it is part of.
        above: Numbers of the units it cannot stand without: fences, headings, a table's header.
        frame: Whether it is such a unit, which is kept for others' sake only.
        frozen: Whether it is never dropped: a person marked it, or it is code.
        leans: Whether it means something only after the unit before it.
        closes: Number of the unit that a closing fence belongs to; -1 for all others.
        gap: Whether an empty line stands before it.
    """

    text: str
    block: int
    above: tuple[int, ...] = ()
    frame: bool = False
    frozen: bool = False
    leans: bool = False
    closes: int = -1
    gap: bool = False


def units_of(text: str) -> list[Unit]:
    """Return the pieces of a text, in order."""
    return _Cutter(text).cut()


def joined(units: list[Unit], *, gaps: bool = False) -> str:
    """Return units as text: those of one block in one line, blocks in lines of their own.

    Args:
        units: In order.
        gaps: Whether empty lines between blocks stay.
    """
    lines: list[str] = []
    block = -1
    for unit in units:
        if unit.block == block:
            lines[-1] = f"{lines[-1]} {unit.text}"
        else:
            if gaps and unit.gap and lines:
                lines.append("")
            lines.append(unit.text)
        block = unit.block
    return "\n".join(lines)


class _Cutter:
    def __init__(self, text: str) -> None:
        self._units: list[Unit] = []
        self._block = 0
        self._gap = False
        self._fences: list[tuple[str, int]] = []  # open tags, with their unit
        self._headings: list[tuple[int, int]] = []  # level and unit
        self._table: int | None = None
        self._lines = _logical_lines(text)

    def cut(self) -> list[Unit]:
        for number, (line, frozen) in enumerate(self._lines):
            if not line:
                self._gap = True
                continue
            following = self._lines[number + 1][0] if number + 1 < len(self._lines) else ""
            self._block += 1
            self._line(line, frozen, following)
            self._gap = False
        return self._units

    def _line(self, line: str, frozen: bool, following: str) -> None:
        if not _ROW.match(line):
            self._table = None
        if frozen:
            self._add(line, frozen=True)
        elif (close := _CLOSE.match(line)) and any(n == close[1] for n, _ in self._fences):
            self._close(line, close[1])
        elif opened := _OPEN.match(line):
            place = self._add(line, frame=True)
            self._fences.append((opened[1], place))
            self._headings = []
        elif heading := _HEADING.match(line):
            level = len(heading[1])
            self._headings = [each for each in self._headings if each[0] < level]
            self._headings.append((level, self._add(line, frame=True)))
        elif _ROW.match(line):
            self._row(line, following)
        else:
            self._sentences(line)

    def _row(self, line: str, following: str) -> None:
        if self._table is None and _RULE.match(following):
            self._table = self._add(line, frame=True)
        elif self._table is not None and _RULE.match(line):
            self._units[self._table] = _with_rule(self._units[self._table], line)
        else:
            self._add(line)

    def _sentences(self, line: str) -> None:
        found = sentences(line)
        if len(found) < 2 or any(len(each) > _LONGEST for each in found):
            self._add(line.strip(), frozen=is_marked(line))
            return
        for number, each in enumerate(_whole_marks(found)):
            leans = number > 0 and bool(_LEANS.match(each))
            self._add(each, frozen=is_marked(each), leans=leans)
            self._gap = False

    def _close(self, line: str, name: str) -> None:
        while self._fences:
            opened, place = self._fences.pop()
            if opened == name:
                unit = Unit(
                    line, self._block, self._above(), frame=True, closes=place, gap=self._gap
                )
                self._units.append(unit)
                break
        self._headings = []

    def _add(
        self, text: str, *, frame: bool = False, frozen: bool = False, leans: bool = False
    ) -> int:
        above = self._above()
        if self._table is not None:
            above = (*above, self._table)
        self._units.append(Unit(text, self._block, above, frame, frozen, leans, gap=self._gap))
        return len(self._units) - 1

    def _above(self) -> tuple[int, ...]:
        return (*(n for _, n in self._fences), *(n for _, n in self._headings))


def _whole_marks(found: list[str]) -> list[str]:
    """Join sentences that one mark spans."""
    joined_up: list[str] = []
    for each in found:
        before = joined_up[-1].lower() if joined_up else ""
        if before.count("<keep>") > before.count("</keep>"):
            joined_up[-1] = f"{joined_up[-1]} {each}"
        else:
            joined_up.append(each)
    return joined_up


def _with_rule(header: Unit, rule: str) -> Unit:
    return replace(header, text=f"{header.text}\n{rule}")


def _logical_lines(text: str) -> list[tuple[str, bool]]:
    """Return lines, hard-wrapped paragraphs joined, each with whether it must stay as it is.

    Several empty lines are one.
    """
    spans = [span for span in frozen_spans(text) if "\n" in text[span[0] : span[1]]]
    found: list[tuple[str, bool]] = []
    at = 0
    for start, end in spans:
        # A frozen span takes the lines that it begins and ends in with it.
        first = text.rfind("\n", at, start) + 1 or at
        last = text.find("\n", end)
        last = len(text) if last < 0 else last
        if first < at:  # the line is another span's already
            continue
        found += [(line, False) for line in _wrapped(text[at:first])]
        found.append((text[first:last], True))
        at = last
    return [*found, *((line, False) for line in _wrapped(text[at:]))]


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    open_paragraph = False
    for raw in text.split("\n"):
        line = raw.strip()
        if not line:
            open_paragraph = False
            if lines and lines[-1]:
                lines.append("")
            continue
        alone = any(
            pattern.match(line) for pattern in (_HEADING, _OPEN, _CLOSE, _ROW, _RULE, _ITEM)
        )
        alone = alone or bool(_DATA.search(line) or _KEY.match(line))
        if open_paragraph and not alone and (len(lines[-1]) >= _SHORT or line[0].islower()):
            lines[-1] = f"{lines[-1]} {line}"
        else:
            lines.append(raw.rstrip() if alone else line)
        open_paragraph = not alone or bool(_ITEM.match(line))
    return lines
