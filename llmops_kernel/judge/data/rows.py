"""JSON rows out of files, one problem for each that is none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.data.problems import Problem, WrongRow, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    # A path; rows; or columns, as data frames and Hugging Face data sets give them.
    Source = str | Path | Iterable[Mapping[str, Any]] | Mapping[str, Any]

MAX_ROW = 10_000_000  # bytes: a longer row is not read
MAX_FILE = 200_000_000  # bytes of a file that is one JSON text
_MARK = b"\xef\xbb\xbf"
# Members that hold the rows of a JSON file that is one object.
_ROWS = ("samples", "rows", "testCases", "test_cases", "goldens", "records", "data")

Row = tuple[int, dict[str, Any]]


def lines_of(path: Path, problems: list[Problem]) -> Iterator[tuple[int, bytes]]:
    """Yield a file's lines with their numbers; a row that is too long is a problem instead.

    Not more than one row is in memory, and never the whole of one that is too long.

    Raises:
        UsageProblem: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_ROW + 2):
                number += 1
                size = len(line)
                while not line.endswith(b"\n") and (more := file.readline(MAX_ROW + 2)):
                    size += len(more)
                    line = line if not more.endswith(b"\n") else b"\n"
                if size > MAX_ROW + 1:
                    problems.append(Problem(number, "the row is too long", "", f"{size:,} bytes"))
                    continue
                yield number, line.removeprefix(_MARK) if number == 1 else line
    except OSError as error:
        raise _unreadable(path, error) from error


def parse(line: bytes | str) -> Any:
    """Return the value of a JSON text; NaN and infinity are not JSON.

    Raises:
        WrongRow: It is none.
    """
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
    except UnicodeDecodeError as error:
        raise WrongRow("not UTF-8", f"byte {error.start + 1}") from None
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise WrongRow("not JSON", shown(str(error))) from None


def rows_of(source: Source, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a JSONL or JSON file, of a list of rows, or of columns.

    Args:
        source: A path, rows, or a mapping of columns (each a list as long as the others).
        problems: Where the problems are put.

    Raises:
        UsageProblem: The file cannot be read, or is no list of rows; columns differ in length.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        yield from _json_rows(path, problems) if _is_json(path) else _jsonl_rows(path, problems)
    else:
        yield from _objects(_listed(source), problems)


def _jsonl_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    for number, line in lines_of(path, problems):
        try:
            if not line.strip():
                raise WrongRow("the row is empty")
            yield number, _object(parse(line))
        except WrongRow as wrong:
            problems.append(Problem(number, wrong.reason, "", wrong.detail))


def _json_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise UsageProblem(
                "The file is too large to be read as one JSON text",
                detail=f"{path}: {path.stat().st_size:,} bytes",
                hint="Write it as JSONL: one object a line",
            )
        data = path.read_bytes().removeprefix(_MARK)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        value = parse(data)
    except WrongRow as wrong:
        raise UsageProblem(
            "The file is not JSON",
            detail=f"{path}: {wrong.reason}: {wrong.detail}",
            hint="Name a JSON list of rows, or JSONL with one object a line",
        ) from None
    yield from _objects(_listed(value), problems)


def _objects(values: Iterable[Any], problems: list[Problem]) -> Iterator[Row]:
    for number, value in enumerate(values, start=1):
        try:
            yield number, _object(value)
        except WrongRow as wrong:
            problems.append(Problem(number, wrong.reason, "", wrong.detail))


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongRow("not a JSON object", type(value).__name__)
    if not value:
        raise WrongRow("the row is empty")
    return value


def _listed(value: Any) -> Iterable[Any]:
    """Return the rows of a list, of a report that holds one, or of columns."""
    if not isinstance(value, dict):
        if isinstance(value, str | int | float | bool | None):
            raise UsageProblem(
                "There are no rows",
                detail=shown(value),
                hint="Name a JSON list of rows, or JSONL with one object a line",
            )
        return list(value)
    for name in _ROWS:
        rows = value.get(name)
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
    if value and all(isinstance(column, list | tuple) for column in value.values()):
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise UsageProblem(
                "The columns differ in length",
                detail=", ".join(f"{name} {length}" for name, length in lengths.items()),
            )
        cells = zip(*value.values(), strict=True)
        return [dict(zip(value, row, strict=True)) for row in cells]
    return [value]


def _is_json(path: Path) -> bool:
    """Whether a file is one JSON text and not a row a line; its name need not tell."""
    if path.suffix.lower() in {".jsonl", ".ndjson"}:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(65_536).removeprefix(_MARK)
    except OSError as error:
        raise _unreadable(path, error) from error
    if head.lstrip()[:1] == b"[":
        return True
    first = head.strip().split(b"\n", 1)[0]
    try:
        parse(first)
    except WrongRow:
        return path.suffix.lower() == ".json"
    # One line that is an object by itself: either way of reading gives its rows.
    return path.suffix.lower() == ".json" and b"\n" not in head.strip()


def _unreadable(path: Path, error: OSError) -> UsageProblem:
    return UsageProblem(
        "The data set cannot be read",
        detail=f"{path}: {error.strerror or type(error).__name__}",
        hint="Name a JSONL file with one sample a line",
    )


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number
