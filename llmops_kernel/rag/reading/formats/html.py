"""HTML: what a person reads of a page, with headings, lists and tables as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmops_kernel.rag.reading.decode import decode
from llmops_kernel.rag.reading.formats.markdown import first_heading
from llmops_kernel.rag.reading.formats.table import markdown_table
from llmops_kernel.rag.reading.parsed import Parsed, Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bs4 import BeautifulSoup, Tag

    from llmops_kernel.rag.documents import Value

_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_DROPPED = """
    script style noscript template nav svg canvas iframe object embed audio video map button
    select input textarea datalist dialog head link meta""".split()  # noqa: SIM905
_ROLES = {"navigation", "search", "contentinfo", "menu", "menubar", "toolbar", "dialog"}
_BLOCKS = frozenset(
    """address article aside blockquote body center dd details div dl dt fieldset figcaption figure
    footer form header hgroup hr html legend li main ol p section summary table tbody td tfoot th
    thead tr ul""".split()  # noqa: SIM905
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_FACTS = {"author", "date", "version"}
_LEAST = 200  # characters that <main> must hold to be taken for the page


def parse(raw: Raw) -> Parsed:
    """Return a page's text, without scripts, styles, navigation and forms' controls.

    The page is its ``<main>`` where that holds text, or else its body.
    """
    from bs4 import BeautifulSoup

    charset = raw.charset
    if charset is None and (match := _CHARSET.search(raw.data[:2048])):
        charset = match[1].decode("ascii", "replace")
    # html.parser: always there, and the same tree on every machine.
    soup = BeautifulSoup(decode(raw.data, charset), "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else ""
    metadata = _metadata(soup)
    if soup.title:
        soup.title.decompose()  # a page without <head> has it in its body
    _drop(soup)
    text = _Writer().write(_page(soup))
    return Parsed(text, "html", title=title or first_heading(text), metadata=metadata)


def _metadata(soup: BeautifulSoup) -> dict[str, Value]:
    facts: dict[str, Value] = {}
    language = soup.html.get("lang") if soup.html else None
    if isinstance(language, str) and language:
        facts["language"] = language
    for meta in soup.find_all("meta"):
        key, value = meta.get("name"), meta.get("content")
        if isinstance(key, str) and isinstance(value, str) and key.lower() in _FACTS and value:
            facts[key.lower()] = value[:300]
    return facts


def _drop(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    unseen = [tag for tag in soup.find_all(True) if _is_unseen(tag)]
    for tag in unseen:
        if not tag.decomposed:
            tag.decompose()
    for footer in soup.find_all("footer"):
        if footer.find_parent(["article", "main", "section", "blockquote"]) is None:
            footer.decompose()


def _is_unseen(tag: Tag) -> bool:
    if tag.has_attr("hidden") or tag.get("aria-hidden") == "true" or tag.get("role") in _ROLES:
        return True
    style = tag.get("style")
    return isinstance(style, str) and "display:none" in style.replace(" ", "").lower()


def _page(soup: BeautifulSoup) -> Tag:
    main = soup.find("main") or soup.find(role="main")
    if main is not None and len(main.get_text(strip=True)) >= _LEAST:
        return main
    return soup.body or soup


class _Writer:
    """Writes a tree as Markdown blocks."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._items: list[bool] = []  # which blocks are items of lists
        self._line: list[str] = []
        self._lists: list[int | None] = []  # the next number of each open list; None for bullets
        self._mark = ""

    def write(self, root: Tag) -> str:
        """Return the text of a tree."""
        from bs4.element import NavigableString, PreformattedString, Tag

        # A stack instead of recursion: broken pages nest thousands of elements.
        open_tags: list[tuple[Tag, Iterator[object]]] = [(root, iter(root.children))]
        while open_tags:
            tag, children = open_tags[-1]
            child = next(children, None)
            if child is None:
                open_tags.pop()
                self._leave(tag)
            elif isinstance(child, Tag):
                if not self._enter(child):
                    open_tags.append((child, iter(child.children)))
            elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
                self._line.append(re.sub(r"\s+", " ", child))
        self._flush()
        return self._joined()

    def _enter(self, tag: Tag) -> bool:
        """Begin an element; whether all of it has been written."""
        if tag.name in _HEADINGS:
            self._flush()
            text = " ".join(tag.get_text(" ").split()).rstrip("\u00b6# ")
            self._add(f"{'#' * _HEADINGS[tag.name]} {text}" if text else "")
        elif tag.name == "pre":
            self._flush()
            code = tag.get_text().strip("\n")
            self._add(f"```\n{code}\n```" if code.strip() else "")
        elif tag.name == "table" and tag.find("table") is None:
            self._flush()
            rows = [
                [" ".join(cell.get_text(" ").split()) for cell in row.find_all(["td", "th"])]
                for row in tag.find_all("tr")
            ]
            caption = " ".join(tag.caption.get_text(" ").split()) if tag.caption else ""
            self._add(caption)
            self._add(markdown_table(rows))
        elif tag.name == "code" and "`" not in (code := " ".join(tag.get_text().split())):
            self._line.append(f"`{code}`" if code else "")
        elif tag.name == "br":
            self._line.append("\n")
        elif tag.name == "img":
            alt = tag.get("alt")
            self._line.append(f" {alt} " if isinstance(alt, str) else "")
        else:
            self._begin(tag)
            return False
        return True

    def _begin(self, tag: Tag) -> None:
        if tag.name not in _BLOCKS:
            return
        self._flush()
        if tag.name in {"ul", "ol"}:
            self._lists.append(1 if tag.name == "ol" else None)
        elif tag.name == "li":
            depth = max(0, len(self._lists) - 1)
            number = self._lists[-1] if self._lists else None
            self._mark = "  " * depth + ("- " if number is None else f"{number}. ")
            if number is not None:
                self._lists[-1] = number + 1

    def _leave(self, tag: Tag) -> None:
        if tag.name not in _BLOCKS:
            return
        self._flush()
        if tag.name in {"ul", "ol"} and self._lists:
            self._lists.pop()
        elif tag.name == "li":
            self._mark = ""

    def _flush(self) -> None:
        lines = (" ".join(line.split()) for line in "".join(self._line).split("\n"))
        text = "\n".join(line for line in lines if line)
        self._line.clear()
        if text:
            self._add(self._mark + text, item=bool(self._mark))
            self._mark = ""

    def _add(self, block: str, *, item: bool = False) -> None:
        if block:
            self._blocks.append(block)
            self._items.append(item)

    def _joined(self) -> str:
        parts: list[str] = []
        for number, block in enumerate(self._blocks):
            if number:
                together = self._items[number] and self._items[number - 1]
                parts.append("\n" if together else "\n\n")
            parts.append(block)
        return "".join(parts)
