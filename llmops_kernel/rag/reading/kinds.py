"""Which format a file has: by its ending, by its media type, or by its first bytes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

Kind = Literal[
    "markdown", "html", "pdf", "text", "csv", "docx", "notebook", "rtf", "url", "unknown"
]

_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mdx", ".qmd", ".rmd"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org"), "text"),
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".docx", ".docm"), "docx"),
    ".pdf": "pdf",
    ".ipynb": "notebook",
    ".rtf": "rtf",
}

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_TYPES: dict[str, Kind] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    _DOCX: "docx",
    "application/x-ipynb+json": "notebook",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
}
# Types that servers give to files whose format they do not know: the name knows better.
_VAGUE = frozenset(
    {"", "text/plain", "application/octet-stream", "binary/octet-stream", "application/json"}
)

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # Word 97, and Office files under a password
_UTF_16_32 = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def kind_of_name(name: str) -> Kind:
    """Return the format of a file's name; "unknown" when its ending does not tell."""
    return _ENDINGS.get(PurePosixPath(name.lower()).suffix, "unknown")


def kind_of_type(media_type: str, name: str, head: bytes) -> Kind:
    """Return the format of what a server sent; "unknown" when it is none that is read.

    Args:
        media_type: The Content-Type, without parameters.
        name: The last part of the URL's path.
        head: The first bytes.
    """
    media_type = media_type.strip().lower()
    if media_type in _TYPES:
        return _TYPES[media_type]
    if media_type in _VAGUE:
        named = kind_of_name(name)
        return named if named != "unknown" else kind_of_bytes(head)
    return "text" if media_type.startswith("text/") else "unknown"


def kind_of_bytes(head: bytes) -> Kind:
    """Return the format that a file's first bytes show: text unless they are binary."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith(b"%pdf-"):
        return "pdf"
    if start.startswith(b"{\\rtf"):
        return "rtf"
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if head.startswith(b"PK\x03\x04"):
        return "docx" if b"word/" in head else "unknown"
    if head.startswith(_UTF_16_32):
        return "text"
    return "unknown" if is_binary(head) else "text"


def is_binary(head: bytes) -> bool:
    """Whether bytes cannot be text in any encoding without zero bytes."""
    if not head:
        return False
    control = sum(byte < 32 and byte not in b"\t\n\r\f\b\x1b" for byte in head)
    return b"\0" in head or control > len(head) // 50


def is_ole(data: bytes) -> bool:
    """Whether bytes are an OLE container: an old or an encrypted Office file."""
    return data.startswith(_OLE)
