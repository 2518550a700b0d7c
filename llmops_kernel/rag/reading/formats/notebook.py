"""Notebooks: Markdown, code, and what the code printed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from llmops_kernel.rag.reading.decode import decode
from llmops_kernel.rag.reading.formats.markdown import first_heading
from llmops_kernel.rag.reading.parsed import Parsed, Raw
from llmops_kernel.rag.reading.unreadable import Unfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.rag.documents import Value

# nbformat would upgrade old notebooks; it also refuses, warns about and re-numbers what is only
# unusual. Cells and their sources are all that is read here.

_LONGEST_OUTPUT = 4_000  # characters of one cell's output; logs and tables run on for megabytes
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def parse(raw: Raw) -> Parsed:
    """Return a notebook as Markdown: code and its text output in fences."""
    try:
        book = json.loads(decode(raw.data, raw.charset))
    except (ValueError, RecursionError) as error:
        raise Unfit("damaged", f"not JSON: {error}") from error
    if not isinstance(book, dict) or not isinstance(
        book.get("cells", book.get("worksheets")), list
    ):
        raise Unfit("damaged", "no cells")
    facts = book.get("metadata")
    facts = facts if isinstance(facts, dict) else {}
    language = _language(facts)
    text = "\n\n".join(part for cell in _cells(book) for part in _parts(cell, language) if part)
    title = facts.get("title")
    metadata: dict[str, Value] = {"code": language} if language else {}
    return Parsed(
        text,
        "notebook",
        title=title if isinstance(title, str) else first_heading(text),
        metadata=metadata,
    )


def _language(facts: Mapping[str, Any]) -> str:
    for key, field in (("language_info", "name"), ("kernelspec", "language")):
        part = facts.get(key)
        if isinstance(part, dict) and isinstance(part.get(field), str):
            return str(part[field])
    return ""


def _cells(book: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    holders = [book, *(sheet for sheet in book.get("worksheets", ()) if isinstance(sheet, dict))]
    for holder in holders:  # version 3 has worksheets
        cells = holder.get("cells", ())
        yield from (cell for cell in cells if isinstance(cell, dict))


def _parts(cell: Mapping[str, Any], language: str) -> Iterator[str]:
    source = _text(cell.get("source", cell.get("input"))).strip("\n")
    kind = cell.get("cell_type")
    if kind == "heading":  # version 3
        level = cell.get("level")
        yield f"{'#' * (level if isinstance(level, int) else 1)} {source}"
    elif kind == "code":
        if source.strip():
            yield _fence(source, language)
        outputs = cell.get("outputs")
        for output in outputs if isinstance(outputs, list) else ():
            if isinstance(output, dict):
                printed = _ANSI.sub("", _output(output)).strip("\n")
                if printed.strip():
                    yield _fence(printed[:_LONGEST_OUTPUT], "")
    else:
        yield source


def _output(output: Mapping[str, Any]) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        return _text(output.get("text"))
    if kind in {"error", "pyerr"}:
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    data = output.get("data", output)
    if not isinstance(data, dict):
        return ""
    return _text(data.get("text/markdown") or data.get("text/plain") or data.get("text"))


def _text(value: object) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"^`{3,}", text, re.MULTILINE)), default=2)
    mark = "`" * (longest + 1)
    return f"{mark}{language}\n{text}\n{mark}"
