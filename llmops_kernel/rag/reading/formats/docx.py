"""DOCX: headings, paragraphs, lists and tables as Markdown."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING

from llmops_kernel.rag.reading.formats.markdown import first_heading
from llmops_kernel.rag.reading.formats.table import markdown_table
from llmops_kernel.rag.reading.kinds import is_ole
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.unreadable import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from llmops_kernel.rag.documents import Value

_MAX_XML = 200_000_000  # bytes that one part may unpack to: zip bombs are far larger
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_STYLE_NAME = re.compile(
    r"(?:heading|\u00fcberschrift|titre|t\u00edtulo)\s*([1-9])$", re.IGNORECASE
)
# What is not the document's text: a second drawing of the same box, deleted text, field codes.
_SKIPPED = {
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    f"{_W}del",
    f"{_W}moveFrom",
    f"{_W}instrText",
}


def parse(raw: Raw) -> Parsed:
    """Return a Word document's text, its headings and tables marked as in Markdown."""
    if is_ole(raw.data):
        raise Unfit("encrypted", "a password is needed, or the format is that of Word 97")
    try:
        with zipfile.ZipFile(io.BytesIO(raw.data)) as archive:
            body = _xml(archive, "word/document.xml")
            styles = _xml(archive, "word/styles.xml")
            core = _xml(archive, "docProps/core.xml")
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise Unfit("damaged", str(error)) from error
    top = None if body is None else body.find(f"{_W}body")
    if top is None:
        raise Unfit("damaged", "no text part")
    levels = _levels(styles)
    text = "\n\n".join(_blocks(top, levels))
    text = re.sub(r"(?m)^(- .*)\n\n(?=- )", r"\1\n", text)  # items of a list stand together
    title = _core(core, "title") or first_heading(text)
    author = _core(core, "creator")
    metadata: dict[str, Value] = {"author": author} if author else {}
    return Parsed(text, "docx", title=title, metadata=metadata)


def _xml(archive: zipfile.ZipFile, part: str) -> Element | None:
    from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
    from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

    try:
        info = archive.getinfo(part)
    except KeyError:
        return None
    if info.file_size > _MAX_XML:
        raise Unfit("too large", f"{part} unpacks to {info.file_size:,} bytes")
    try:
        root: Element = fromstring(archive.read(part))
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Unfit("damaged", f"{part}: {error}") from error
    return root


def _levels(styles: Element | None) -> dict[str, int]:
    """The heading level of each style that has one, by its id."""
    levels: dict[str, int] = {}
    based: dict[str, str] = {}
    for style in styles.iter(f"{_W}style") if styles is not None else ():
        own = style.get(f"{_W}styleId", "")
        named = _value(style.find(f"{_W}name"))
        outline = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
        match = _STYLE_NAME.match(named)
        if match:
            levels[own] = int(match[1])
        elif named.lower() == "title":
            levels[own] = 1
        elif outline.isdigit() and int(outline) < 9:
            levels[own] = int(outline) + 1
        based[own] = _value(style.find(f"{_W}basedOn"))
    for own in based:
        above, steps = based[own], 0
        while own not in levels and above and steps < 20:
            if above in levels:
                levels[own] = levels[above]
            above, steps = based.get(above, ""), steps + 1
    return levels


def _blocks(top: Element, levels: dict[str, int]) -> Iterator[str]:
    # A stack instead of recursion: content controls nest as deep as somebody likes.
    waiting = list(top)[::-1]
    while waiting:
        element = waiting.pop()
        if element.tag == f"{_W}p":
            block = _paragraph(element, levels)
            if block:
                yield block
        elif element.tag == f"{_W}tbl":
            # Direct children only: a table within a cell is part of that cell's text.
            rows = [[_cell(cell) for cell in _within(row, "tc")] for row in _within(element, "tr")]
            if table := markdown_table(rows):
                yield table
        elif element.tag not in _SKIPPED:
            waiting.extend(list(element)[::-1])


def _paragraph(paragraph: Element, levels: dict[str, int]) -> str:
    text = _text(paragraph).strip()
    if not text:
        return ""
    properties = paragraph.find(f"{_W}pPr")
    if properties is None:
        return text
    style = _value(properties.find(f"{_W}pStyle"))
    outline = _value(properties.find(f"{_W}outlineLvl"))
    level = levels.get(style, 0)
    if not level and (match := re.fullmatch(r"Heading([1-9])", style)):
        level = int(match[1])  # a style without a definition
    if not level and outline.isdigit() and int(outline) < 9:
        level = int(outline) + 1
    if level:
        return f"{'#' * min(level, 6)} {' '.join(text.split())}"
    return f"- {text}" if properties.find(f"{_W}numPr") is not None else text


def _within(element: Element, tag: str) -> Iterator[Element]:
    """Children of a kind, also those that a content control holds."""
    for child in element:
        if child.tag == f"{_W}{tag}":
            yield child
        elif child.tag == f"{_W}sdt":
            yield from child.findall(f"{_W}sdtContent/{_W}{tag}")


def _cell(cell: Element) -> str:
    return " ".join(_text(cell).split())


def _text(element: Element) -> str:
    parts: list[str] = []
    waiting = [element]
    while waiting:
        at = waiting.pop()
        if at.tag == f"{_W}t":
            parts.append(at.text or "")
        elif at.tag in {f"{_W}tab", f"{_W}ptab"}:
            parts.append(" ")
        elif at.tag in {f"{_W}br", f"{_W}cr"}:
            parts.append("\n")
        elif at.tag == f"{_W}noBreakHyphen":
            parts.append("-")
        elif at.tag not in _SKIPPED and at.tag != f"{_W}pPr":
            if at.tag == f"{_W}p" and parts:
                parts.append(" ")  # the next paragraph of a cell or a text box
            waiting.extend(list(at)[::-1])
    return "".join(parts)


def _value(element: Element | None) -> str:
    return "" if element is None else element.get(f"{_W}val", "")


def _core(core: Element | None, name: str) -> str:
    found = None if core is None else core.find(f"{_DC}{name}")
    return " ".join((found.text or "").split()) if found is not None else ""
