"""One job as the worker sees it: what is asked, where to tell, when to end."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.events import Journal
from llmops_kernel.finetune.layout import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ended(Exception):
    """The job ends here, with an exit code and what is to be told.

    Args:
        code: One of the exit codes in `layout`.
        reason: A stable sentence.
        detail: Figures.
        hint: What to do.
    """

    def __init__(self, code: int, reason: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.detail = detail
        self.hint = hint


@dataclass(slots=True)
class Job:
    """What is asked.

    Attributes:
        run: The content of ``run.json``.
        folder: The run's files.
        journal: Where events are told.
        began: ``time.monotonic()`` at the start of the worker.
    """

    run: dict[str, Any]
    folder: RunFolder
    journal: Journal
    began: float

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job from its file."""
        run = json.loads(path.read_text(encoding="utf-8"))
        folder = RunFolder(Path(run.get("folder") or path.parent))
        return cls(run, folder, Journal(folder.events), time.monotonic())

    def emit(self, event: dict[str, Any]) -> None:
        """Tell an event, with the memory used so far."""
        self.journal.emit({**event, "memory": peak_memory()})

    @property
    def train(self) -> dict[str, Any]:
        """The ``train`` part of the specification."""
        part: dict[str, Any] = self.run["train"]
        return part

    def stop_asked(self) -> str:
        """Return why an end is asked for, or ""."""
        try:
            return self.folder.stop.read_text(encoding="utf-8").strip() or "asked"
        except FileNotFoundError:
            return ""

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of ``train`` or ``eval``; none where there is no such file."""
        path = self.folder.data / f"{name}.jsonl"
        if path.exists():
            with path.open(encoding="utf-8") as file:
                for line in file:
                    yield json.loads(line)


def peak_memory() -> int:
    """Return the most bytes this process has had in memory."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
