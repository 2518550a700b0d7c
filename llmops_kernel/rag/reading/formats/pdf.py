"""PDF: the text of each page, and where each page begins."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.quiet import quiet
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.unreadable import Unfit

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Value

# One character for two or three letters, which no search would find.
_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st",
              0xFB06: "st", 0x00AD: "", 0x0000: ""}  # fmt: skip
# Titles that programs write and nobody chose.
_NO_TITLE = re.compile(
    r"untitled|microsoft word - |powerpoint|document\d*$|.*\.(docx?|tex|indd|pdf)$", re.I
)


def parse(raw: Raw) -> Parsed:
    """Return the text of a PDF's pages; a page that cannot be read is named in the metadata."""
    import pypdf
    from pypdf.errors import DependencyError

    with quiet("pypdf"):  # it logs a line about each blemish that it mends
        try:
            reader = pypdf.PdfReader(io.BytesIO(raw.data))
            # Many files are encrypted with an empty password, only to forbid printing.
            if reader.is_encrypted and not reader.decrypt(""):
                raise Unfit("encrypted", "a password is needed")
            pages = list(reader.pages)
            facts = reader.metadata
        except DependencyError as error:
            raise Unfit("encrypted", str(error)) from error
        except Unfit:
            raise
        except Exception as error:  # pypdf raises anything on damaged files
            raise Unfit("damaged", _short(error)) from error
        texts, lost = _texts(pages)
    if lost and len(lost) == len(pages):
        raise Unfit("damaged", "none of its pages can be read")
    text, offsets = _join(texts)
    metadata: dict[str, Value] = {"pages": len(pages)}
    if lost:
        metadata["unread_pages"] = ", ".join(map(str, lost))
    title = _fact(facts, "title")
    if _NO_TITLE.match(title):
        title = ""
    if author := _fact(facts, "author"):
        metadata["author"] = author
    return Parsed(text, "pdf", title=title, metadata=metadata, pages=offsets)


def _texts(pages: list[Any]) -> tuple[list[str], list[int]]:
    """The text of each page, and the numbers of those that cannot be read."""
    texts: list[str] = []
    lost: list[int] = []
    for number, page in enumerate(pages, start=1):
        try:
            text = page.extract_text()
        except Exception:  # noqa: BLE001
            lost.append(number)
            text = ""
        lines = (line.rstrip() for line in text.translate(_LIGATURES).splitlines())
        texts.append("\n".join(lines).strip("\n"))
    return texts, lost


def _join(texts: list[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    offsets: list[tuple[int, int]] = []
    parts: list[str] = []
    at = 0
    for number, text in enumerate(texts, start=1):
        offsets.append((number, at))
        if text:
            # A sentence may run on over the page: no blank line unless it has ended.
            part = text + ("\n\n" if text.rstrip().endswith((".", "!", "?", ":")) else "\n")
            parts.append(part)
            at += len(part)
    return "".join(parts), tuple(offsets)


def _fact(facts: Any, name: str) -> str:
    try:
        value = getattr(facts, name, None)
    except Exception:  # noqa: BLE001
        return ""
    return " ".join(str(value).split())[:300] if value else ""


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
