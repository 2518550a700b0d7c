"""The journal of a run: one JSON object a line, written by its processes, read by anybody.

Standard library only: the worker writes it in an environment of its own.
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Journal:
    """Appends events to a file; several processes may write at once.

    A line is one ``write`` to a file opened for appending, so lines do not mix. A reader skips a
    last line that is not whole yet.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        size = os.fstat(self._file).st_size
        if size and not _ends_line(path, size):
            os.write(self._file, b"\n")  # a process died within its last line

    def emit(self, event: dict[str, Any]) -> None:
        """Append an event (its name under ``event``), with the time.

        Raises:
            OSError: The disk is full, or the file cannot be written.
        """
        line = json.dumps({"at": round(time.time(), 3), **_finite(event)}, ensure_ascii=True)
        os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Tail:
    """Reads a journal piece by piece, as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the events that were added since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._place)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data.rfind(b"\n") + 1
        self._place += whole
        events = []
        for line in data[:whole].splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # the piece that a killed process left
                continue
            if isinstance(event, dict) and "event" in event:
                events.append(event)
        return events


def _ends_line(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _finite(value: Any) -> Any:
    """Return data without NaN and infinity, which are no JSON: as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
