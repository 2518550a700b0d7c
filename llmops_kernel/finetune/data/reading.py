"""Rows out of files, data sets and the record."""

from __future__ import annotations

import csv
import hashlib
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import MissingExtra, UsageProblem
from llmops_kernel.judge.data.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.judge.data.problems import Problem

RECORD = "record"
_TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_LARGEST_FIELD = 10_000_000

Source = tuple[int, dict[str, Any]]


def rows_in(path: str, problems: list[Problem], *, limit: int | None = None) -> Iterator[Source]:
    """Yield (line, fields) of JSONL, JSON, CSV, Parquet, or a data set that was saved to a folder.

    Raises:
        UsageProblem: It cannot be read.
        MissingExtra: The package for this kind is missing.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise UsageProblem("There is no such data file", detail=str(path), hint="Name data.path")
    kind = file.suffix.lower()
    if file.is_dir() or kind in (".parquet", ".arrow"):
        rows = _data_set(file)
    elif kind in _TABLES:
        rows = _table(file, _TABLES[kind])
    else:
        rows = rows_of(file, problems)
    yield from islice(rows, limit)


def digest_of(path: str) -> str:
    """Return the SHA-256 of a file, or of a folder's files with their names."""
    file, digest = Path(path).expanduser(), hashlib.sha256()
    parts = sorted(each for each in file.rglob("*") if each.is_file()) if file.is_dir() else [file]
    for part in parts:
        if part != file:
            digest.update(str(part.relative_to(file)).encode() + b"\0")
        with part.open("rb") as source:
            while block := source.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _table(file: Path, separator: str) -> Iterator[Source]:
    csv.field_size_limit(_LARGEST_FIELD)
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, delimiter=separator)
            for row in reader:
                row.pop(None, None)  # cells beyond the head
                yield reader.line_num, dict(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageProblem("The table cannot be read", detail=f"{file}: {error}") from error


def _data_set(file: Path) -> Iterator[Source]:
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise MissingExtra("finetune", "datasets") from error
    try:
        if file.is_dir():
            loaded: Any = datasets.load_from_disk(str(file))
        elif file.suffix.lower() == ".parquet":
            loaded = datasets.Dataset.from_parquet(str(file), keep_in_memory=True)
        else:
            loaded = datasets.Dataset.from_file(str(file))
    except Exception as error:  # the libraries below raise many kinds
        raise UsageProblem("The data set cannot be read", detail=f"{file}: {error}") from error
    if hasattr(loaded, "keys"):
        names = list(loaded.keys())
        if "train" not in names:
            raise UsageProblem("The data set has no split named train", detail=", ".join(names))
        loaded = loaded["train"]
    for number, row in enumerate(loaded, start=1):
        yield number, dict(row)
