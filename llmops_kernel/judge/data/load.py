"""Data sets in JSONL: one sample a line, with `Sample`'s names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.files import write_whole
from llmops_kernel.judge.data.rows import rows_of
from llmops_kernel.judge.data.shape import collect, row_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmops_kernel.judge.data.problems import Dataset, Problem
    from llmops_kernel.judge.samples import Sample


def load(path: str | Path) -> Dataset:
    """Read a data set.

    A row that is no sample is a `Problem` with its line and never ends the reading: empty, not
    UTF-8, not JSON, not an object, longer than 10 MB, without ``user_input``, a field of another
    type, an id that an earlier and different row has. Rows without an ``id`` get one that is made
    of what they ask (`collect`), and the set's notes say so.

    Args:
        path: JSONL in UTF-8, or a JSON list.

    Raises:
        UsageProblem: The file cannot be read at all.
    """
    problems: list[Problem] = []
    return collect(rows_of(Path(path), problems), problems)


def dump(samples: Iterable[Sample], path: str | Path) -> int:
    """Write samples as JSONL and return how many; the file is replaced as a whole.

    Raises:
        UsageProblem: The file cannot be written, or a field is no JSON.
    """
    file = Path(path).expanduser()
    lines = [_line(sample) for sample in samples]
    try:
        write_whole(file, b"".join(lines))
    except OSError as error:
        raise UsageProblem(
            "The data set cannot be written",
            detail=f"{file}: {error.strerror or type(error).__name__}",
        ) from error
    return len(lines)


def _line(sample: Sample) -> bytes:
    try:
        text = json.dumps(row_of(sample), ensure_ascii=False, allow_nan=False)
        return f"{text}\n".encode()
    except UnicodeEncodeError:
        # Half a surrogate pair is no UTF-8, but can be told in JSON's own escapes.
        return f"{json.dumps(row_of(sample), allow_nan=False)}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageProblem(
            "A sample cannot be written as JSON", detail=f"{sample.id}: {error}"
        ) from error
