"""Why a document could not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from llmops_kernel.rag.reading.sources import Source

Reason = Literal[
    "encrypted",
    "empty",
    "too large",
    "wrong encoding",
    "damaged",
    "unsupported",
    "unreachable",
    "hidden",
]

_HINTS: dict[str, str] = {
    "encrypted": "save a copy without a password",
    "empty": "a scan needs text recognition (OCR) first",
    "too large": "split it, or raise the limit",
    "wrong encoding": "save it as UTF-8",
    "damaged": "open and save it again with the program that made it",
    "unsupported": "Markdown, HTML, PDF, text, CSV, DOCX, RTF and notebooks are read",
    "unreachable": "check the path or the address",
    "hidden": "name the file itself to read it",
}


class Unreadable(UsageProblem):
    """One document cannot be read; the others can.

    Args:
        source: The document.
        reason: Why, in one or two words.
        detail: What was found, for people.

    Attributes:
        source: The document.
        reason: Why, in one or two words.
    """

    code = "document_unreadable"

    def __init__(self, source: Source, reason: Reason, detail: str = "") -> None:
        super().__init__(
            f"A document cannot be read: {reason}",
            hint=_HINTS[reason],
            detail=f"{source.source}: {detail}" if detail else source.source,
        )
        self.source = source
        self.reason: Reason = reason


class Unfit(Exception):
    """What a format's parser raises: it does not know the source, which `read` adds."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.detail = detail
