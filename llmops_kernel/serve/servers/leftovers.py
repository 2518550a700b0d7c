"""What a start writes down while it goes on, and what is removed where it is broken off."""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.serve import record as records
from llmops_kernel.serve.servers import process as processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.serve.record import Process


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Keep two starts of one name apart.

    Raises:
        UsageProblem: Another one is going on.
    """
    import fcntl

    folder = records.folder_of(name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageProblem(
                f"local/{name} is being started already",
                hint="Wait for it; %serve list shows when it is ready",
            ) from error
        end_leftovers(name)
        yield
    finally:
        os.close(handle)


@contextmanager
def cleaned(name: str) -> Iterator[None]:
    """Remove what a start has made if it does not come to its end."""
    folder = records.folder_of(name)
    with contextlib.suppress(FileNotFoundError):
        (folder / records.RECORD).unlink()  # of a server that is dead
    try:
        yield
    except BaseException:
        end_leftovers(name)
        for file in (records.RECORD, records.KEY, records.USED):
            (folder / file).unlink(missing_ok=True)
        raise


def end_leftovers(name: str, created: float | None = None) -> bool:
    """End the processes of a start that was broken off; say whether there were any.

    Args:
        name: The server.
        created: The start that is meant; None for any, which is for those who keep others out.
    """
    path = records.folder_of(name) / records.STARTING
    try:
        text = path.read_text(encoding="utf-8")
        process, start = _noted(text)
    except (OSError, ValueError, KeyError, TypeError):
        if created is None:
            path.unlink(missing_ok=True)
        return False
    if created not in (None, start):
        return False
    found = processes.end(process)
    # Ending takes seconds: another start may have written its own note since.
    with contextlib.suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            path.unlink()
    return found


def start_noted(name: str) -> float | None:
    """Return when the start that is going on, or was broken off, began; None if there is none."""
    try:
        path = records.folder_of(name) / records.STARTING
        return _noted(path.read_text(encoding="utf-8"))[1]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _noted(text: str) -> tuple[Process, float]:
    left = json.loads(text)
    return records.Process(int(left["pid"]), float(left["started"])), float(left["created"])


def note_starting(name: str, process: Process, created: float) -> None:
    """Write down a process that has been started and has not answered yet.

    Raises:
        StoreError: It cannot be written; the process has been ended.
    """
    text = json.dumps({**asdict(process), "created": created})
    try:
        records.write_private(records.folder_of(name) / records.STARTING, text)
    except LLMOpsError:
        processes.end(process)
        raise


def forget_starting(name: str) -> None:
    """Forget what `note_starting` wrote: the server is registered, and its record says more."""
    (records.folder_of(name) / records.STARTING).unlink(missing_ok=True)


def remove(name: str) -> None:
    """Remove what is written down of a server that had answered; its log stays."""
    folder = records.folder_of(name)
    for file in (records.RECORD, records.KEY, records.USED):
        (folder / file).unlink(missing_ok=True)
