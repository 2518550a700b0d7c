"""Text that is safe to show and of bounded size."""

from __future__ import annotations

import re
import unicodedata
from html import escape

# Terminal control sequences (CSI, OSC and two-byte ones), then any other control character but
# tab and line feed: what a model writes must not move the cursor or set a window's title.
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def printable(value: object) -> str:
    """Return ``str(value)`` without control characters and unpaired surrogates."""
    text = str(value).replace("\r\n", "\n")
    text = _CONTROLS.sub("", _SEQUENCES.sub("", text))
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def markup(value: object) -> str:
    """Return a value as escaped HTML text, fit for content and for quoted attributes."""
    return escape(printable(value), quote=True)


def shorten(text: str, limit: int) -> str:
    """Return the first ``limit`` characters, followed by a count of those left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters)"


def one_line(value: object, limit: int = 80) -> str:
    """Return a value as one line of at most ``limit`` characters, ending in … when it was cut."""
    # Only so much of a huge text can matter; splitting all of it would be slow.
    text = " ".join(printable(value)[: limit * 8].split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def width(text: str) -> int:
    """Return the columns a text takes in a fixed-width font (wide CJK characters take two)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Fill a text with spaces to a width, on the left when it is right-aligned."""
    gap = " " * max(columns - width(text), 0)
    return gap + text if right else text + gap
