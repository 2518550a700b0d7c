"""Markdown: kept as written, without its front matter."""

from __future__ import annotations

import re

from llmops_kernel.rag.reading.decode import decode
from llmops_kernel.rag.reading.front import split_front
from llmops_kernel.rag.reading.parsed import Parsed, Raw

_HEADING = re.compile(
    r"^ {0,3}#{1,6}[ \t]+(\S[^\n]{0,300}?)[ \t#]*$|^(\S[^\n]{0,200})\n=+[ \t]*$", re.M
)
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_MARKUP = re.compile(r"!?\[([^\]]{0,300})\]\([^)]{0,500}\)|[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_TOP = 20_000  # characters in which the title is looked for


def parse(raw: Raw) -> Parsed:
    """Return a Markdown file's text; its title is the front matter's, or else its first heading."""
    facts, text = split_front(decode(raw.data, raw.charset))
    title = facts.get("title")
    return Parsed(
        text,
        "markdown",
        title=title if isinstance(title, str) else first_heading(text),
        metadata={key: value for key, value in facts.items() if key != "title"},
    )


def first_heading(text: str) -> str:
    """Return the first heading of a Markdown text, without its marks; "" when it has none."""
    top = _FENCE.sub("", text[:_TOP])
    match = _HEADING.search(top)
    if match is None:
        return ""
    return " ".join(_MARKUP.sub(lambda m: m[1] or "", match[1] or match[2]).split())
