"""A model's Markdown, made harmless and readable in a notebook."""

from __future__ import annotations

import re

from llmops_kernel.display.text import printable

_IMAGE = re.compile(r"!(?=\[)")
_TARGET = re.compile(r"\][\[(:]")  # a link's or reference's target; without one "![" is no image
_MEDIA_TAG = re.compile(
    r"<(?=/?(?:img|image|picture|source|video|audio|track|iframe|frame|object|embed|link|svg|input"
    r"|form|style|script|base|meta)\b)",
    re.IGNORECASE,
)
_CODE = re.compile(r"(^(?:```|~~~).*?(?:^(?:```|~~~)|\Z)|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_AMOUNT = re.compile(r"(?<![\\$\w])\$(?=\d[\d,]*(?:\.\d+)?(?:[\s.,;:!?)\]*'\"\u2013-]|$))")
_JOINER = "\N{WORD JOINER}"


def safe_markdown(text: str) -> str:
    """Return Markdown that fetches nothing by being looked at, and whose prices stay prices.

    A front end fetches an image as soon as it shows it, so an image in an answer can carry what the
    model has read to any server. Images and HTML elements that load or run something are therefore
    shown as the text they are, by an invisible character after their first one (in code blocks too,
    because where those end is for each renderer to say). Links stay: they need a click.

    Front ends also read the text between two dollar signs as a formula; ``$`` before an amount is
    escaped outside of code.
    """
    text = printable(text)
    if _TARGET.search(text):
        text = _IMAGE.sub(f"!{_JOINER}", text)
    text = _MEDIA_TAG.sub(f"<{_JOINER}", text)
    parts = _CODE.split(text)  # every second part is code
    parts[::2] = (_AMOUNT.sub(r"\\$", part) for part in parts[::2])
    return "".join(parts)


def fence(text: str, language: str = "") -> str:
    """Return a fenced code block whose fence is longer than any run of backticks inside."""
    runs = re.findall(r"`{3,}", text)
    ticks = "`" * (max((len(run) for run in runs), default=2) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def literal(line: str) -> str:
    """Escape the characters of a name that Markdown would read."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>#|~" else char for char in line)
