"""One source in, one document out."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast

from llmops_kernel.errors import MissingExtra
from llmops_kernel.rag.documents import SHARED, Document
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.sources import MAX_BYTES, Source
from llmops_kernel.rag.reading.unreadable import Unfit, Unreadable
from llmops_kernel.rag.reading.web import fetch

if TYPE_CHECKING:
    from llmops_kernel.rag.reading.kinds import Kind

_Parser = Callable[[Raw], Parsed]

_LONGEST_TITLE = 300  # characters; it is embedded with each chunk

# Module and function of each format's parser; a module is imported when its format is met.
_PARSERS: dict[Kind, tuple[str, str]] = {
    "markdown": ("markdown", "parse"),
    "html": ("html", "parse"),
    "pdf": ("pdf", "parse"),
    "text": ("plain", "parse"),
    "csv": ("separated", "parse"),
    "docx": ("docx", "parse"),
    "notebook": ("notebook", "parse"),
    "rtf": ("plain", "parse_rtf"),
}


def read(source: Source, *, tenant: str = SHARED, max_bytes: int = MAX_BYTES) -> Document:
    """Read a file, or fetch an address.

    The same bytes under the same name always give the same document.

    Args:
        source: What to read, from `find_sources`.
        tenant: Who may see it; "" for everybody.
        max_bytes: Larger documents are not read.

    Raises:
        Unreadable: It cannot be read; the reason says why.
        MissingExtra: A library of the ``rag`` extra is not installed.
    """
    if source.problem is not None:
        raise Unreadable(source, source.problem, source.detail)
    try:
        name, parsed = _parse(source, max_bytes)
    except Unfit as error:
        raise Unreadable(source, error.reason, error.detail) from error
    if not parsed.text.strip():
        detail = "no page has text" if parsed.media == "pdf" else "no text in it"
        raise Unreadable(source, "empty", detail)
    return Document(
        source=source.source,
        text=parsed.text,
        title=parsed.title.strip()[:_LONGEST_TITLE] or name,
        tenant=tenant,
        metadata=parsed.metadata,
        pages=parsed.pages,
        media=parsed.media,
    )


def _parse(source: Source, max_bytes: int) -> tuple[str, Parsed]:
    """The name that stands in for a title, and what a parser made of the bytes."""
    kind, charset = source.kind, None
    name = PurePosixPath(source.source).name
    if kind == "url":
        fetched = fetch(source.location, max_bytes)
        data, kind, charset = fetched.data, fetched.kind, fetched.charset
        name = fetched.name or source.source
    else:
        data = _bytes(Path(source.location), max_bytes)
    if not data.strip():
        raise Unfit("empty", "no bytes" if not data else "nothing but spaces")
    parser = _PARSERS.get(kind)
    if parser is None:
        raise Unfit("unsupported")
    try:
        return name, _parser(*parser)(Raw(data, name, charset))
    except ModuleNotFoundError as error:
        raise MissingExtra("rag", error.name or "for this format") from error


def _parser(module: str, function: str) -> _Parser:
    found = import_module(f"llmops_kernel.rag.reading.formats.{module}")
    return cast("_Parser", getattr(found, function))


def _bytes(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise Unfit("unreachable", error.strerror or type(error).__name__) from error
    if len(data) > max_bytes:
        raise Unfit("too large", f"more than {max_bytes:,} bytes")
    return data
