"""Bytes to text, in whichever encoding they were written."""

from __future__ import annotations

import codecs

from llmops_kernel.rag.reading.unreadable import Unfit

# The marks that a text may begin with; UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 200_000  # bytes that the encoding is guessed from
_GUESSES = 4


def decode(data: bytes, declared: str | None = None) -> str:
    """Return the text of bytes, its lines ended by a line feed alone.

    A byte order mark decides, then UTF-8, then what the document or its server declares, then a
    guess from the letters' frequencies. UTF-8 comes before the declaration: other text that
    happens to be valid UTF-8 is very rare, wrong declarations are not.

    Args:
        data: The bytes.
        declared: The encoding that somebody says it has.

    Raises:
        Unfit: No encoding fits.
    """
    text = _decode(data, declared)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "")


def _decode(data: bytes, declared: str | None) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            text = _try(data, name)
            if text is None:
                raise Unfit("wrong encoding", f"not {name.removesuffix('-sig')} as its mark says")
            return text
    if b"\0" in data:
        return _without_mark(data)
    for name in ("utf-8", *_declared(declared)):
        text = _try(data, name)
        if text is not None:
            return text
    return _guess(data)


def _declared(name: str | None) -> tuple[str, ...]:
    """What a declaration means: Latin 1 is Windows' in practice, and this is not UTF-16."""
    name = (name or "").strip("\"' ").lower()
    if not name or name.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return ()
    if name in {"iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii"}:
        return ("cp1252", "latin-1")
    return (name,)


def _without_mark(data: bytes) -> str:
    """UTF-16 whose mark is missing: in Western text every other byte is zero."""
    head = data[: _SAMPLE & ~1]
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[at::2]
        if half.count(0) > 0.7 * len(half) and head[1 - at :: 2].count(0) == 0:
            text = _try(data, name)
            if text is not None:
                return text
    raise Unfit("wrong encoding", "zero bytes, as binary files have them")


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    guesses = [guess.encoding for guess in from_bytes(data[:_SAMPLE])][:_GUESSES]
    # A short text tells little: among equals, what Windows writes in Western Europe is likeliest.
    if "cp1252" in guesses:
        guesses.insert(0, "cp1252")
    for name in guesses:
        text = _try(data, name)
        if text is not None:
            return text
    raise Unfit("wrong encoding", "no encoding fits")


def _try(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeError, LookupError):
        return None
