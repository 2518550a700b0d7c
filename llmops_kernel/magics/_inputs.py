"""Values that a flag names: a bound variable, or a file.

``--schema``, ``--examples`` and ``--context`` take a variable's name first of all, because that is
what a notebook has at hand; what is bound to nothing may be a path.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Pairs = list[tuple[str, Any]]


def schema_of(name: str, names: Mapping[str, Any]) -> Any:
    """Return the pydantic class or JSON schema that ``--schema`` names.

    Raises:
        UsageProblem: It is neither, or there is no such variable or file.
    """
    value = bound_or_file("--schema", name, names)
    if isinstance(value, Path):
        value = _json(_text("--schema", value), value)
    if isinstance(value, dict) or (isinstance(value, type) and hasattr(value, "model_json_schema")):
        return value
    raise UsageProblem(
        f"{name} is no schema", hint="Give a pydantic class, a dict or a JSON file with a schema"
    )


def examples_of(name: str, names: Mapping[str, Any]) -> Pairs:
    """Return the pairs that ``--examples`` names.

    Variables and JSON or JSONL files hold pairs, or objects with ``input`` and ``output``; CSV
    files have these two columns, or two columns and no header.

    Raises:
        UsageProblem: Something else, or there is no such variable or file.
    """
    value = bound_or_file("--examples", name, names)
    if isinstance(value, Path):
        value = _read_examples(value)
    elif isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        raise _no_pairs(name)
    return [_pair(item, name) for item in value]


def context_of(name: str, names: Mapping[str, Any]) -> str:
    """Return the text that ``--context`` names; a list of texts is joined by blank lines.

    Raises:
        UsageProblem: There is no such variable or file.
    """
    value = bound_or_file("--context", name, names)
    if isinstance(value, Path):
        return _text("--context", value)
    if isinstance(value, list | tuple):
        return "\n\n".join(map(str, value))
    return str(value)


def bound_or_file(flag: str, name: str, names: Mapping[str, Any]) -> Any:
    """Return what is bound to a name, or the path of a file that there is.

    Raises:
        UsageProblem: There is neither; names the nearest variable.
    """
    if name in names:
        return names[name]
    path = Path(name).expanduser()
    if path.is_file():
        return path
    raise UsageProblem(
        f"{flag}: {name!r} is neither bound nor a file{nearest(name, _visible(names))}",
        hint="Run the cell that defines it, or correct the name",
    )


def _visible(names: Mapping[str, Any]) -> Iterable[str]:
    return (name for name in names if not name.startswith("_"))


def _read_examples(path: Path) -> Any:
    text = _text("--examples", path)
    if path.suffix.lower() in (".csv", ".tsv"):
        return _read_table(text, "\t" if path.suffix.lower() == ".tsv" else ",")
    if path.suffix.lower() == ".json":
        return _json(text, path)
    return [_json(line, path) for line in text.splitlines() if line.strip()]


def _read_table(text: str, delimiter: str) -> list[Any]:
    rows = [row for row in csv.reader(text.splitlines(keepends=True), delimiter=delimiter) if row]
    head = [name.strip().lower() for name in rows[0]] if rows else []
    if {"input", "output"} <= set(head):
        given, wanted = head.index("input"), head.index("output")
        return [row[:1] if len(row) < len(head) else (row[given], row[wanted]) for row in rows[1:]]
    return [tuple(row) for row in rows]


def _pair(item: Any, name: str) -> tuple[str, Any]:
    if isinstance(item, Mapping) and {"input", "output"} <= set(item):
        item = (item["input"], item["output"])
    if isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str):
        return item[0], item[1]
    raise _no_pairs(name)


def _no_pairs(name: str) -> UsageProblem:
    return UsageProblem(
        f"{name} does not hold examples",
        hint="Give pairs [(input, output), ...] or objects with input and output",
    )


def _text(flag: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(
            f"{flag}: the file cannot be read", detail=f"{path}: {error}", hint="Save it as UTF-8"
        ) from error


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageProblem(
            "The file is not valid JSON", detail=f"{path}: {error}", hint="Correct the file"
        ) from error
