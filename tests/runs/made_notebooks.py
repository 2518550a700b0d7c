"""Notebooks made on the spot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

if TYPE_CHECKING:
    from pathlib import Path


def write_notebook(path: Path, *sources: str, parameters: str = "") -> Path:
    """Write a notebook: a title, a cell tagged ``parameters`` if given, then one cell a source.

    Code cells have the ids ``c1``, ``c2``, ...; a source may begin with ``#tags: a b``.
    """
    cells = [new_markdown_cell("# A notebook", id="title")]
    if parameters:
        cells.append(new_code_cell(parameters, id="defaults", metadata={"tags": ["parameters"]}))
    for number, source in enumerate(sources, 1):
        tags: list[str] = []
        if source.startswith("#tags:"):
            head, _, source = source.partition("\n")
            tags = head.removeprefix("#tags:").split()
        cells.append(new_code_cell(source, id=f"c{number}", metadata={"tags": tags}))
    path.parent.mkdir(parents=True, exist_ok=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def saved(path: Path) -> dict[str, Any]:
    """Return a saved notebook's cells by id, and its metadata under ``""``."""
    book = json.loads(path.read_text(encoding="utf-8"))
    return {"": book["metadata"], **{cell["id"]: cell for cell in book["cells"]}}


def text_of(cell: dict[str, Any]) -> str:
    """Return everything a cell printed."""
    return "".join("".join(output.get("text", "")) for output in cell["outputs"])
