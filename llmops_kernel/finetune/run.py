"""One run, wherever it was started: what its files tell, and what can be asked of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import RunFailed, UsageProblem
from llmops_kernel.finetune.events import Tail
from llmops_kernel.finetune.progress import RUNNING, Progress
from llmops_kernel.processes import process_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmops_kernel.finetune.layout import RunFolder

_FIRST_S = 60.0  # a supervisor that has not told its number by then has died
_POLL_S = 0.2
_FINE = ("done", "checked", "written")
_SAID = {
    "running": "goes on",
    "rejected": "made a model that was not registered",
    "refused": "was not started",
    "stopped": "was stopped",
    "failed": "failed",
    "interrupted": "was interrupted",
}


@dataclass(slots=True)
class FineTune:
    """One run, wherever it was started.

    Attributes:
        folder: Its files.
    """

    folder: RunFolder
    _tail: Tail = field(init=False, repr=False)
    _progress: Progress = field(init=False, repr=False, default_factory=Progress)

    def __post_init__(self) -> None:
        self._tail = Tail(self.folder.events)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.folder.name

    @property
    def run_id(self) -> str:
        """The run's id; ids sort by time."""
        return self.folder.run_id

    @property
    def asked(self) -> dict[str, Any]:
        """What was asked: the specification, resolved, with the manifest of the data."""
        return self.folder.read_json(self.folder.run_json)

    @property
    def progress(self) -> Progress:
        """What the journal tells, brought up to date."""
        self._progress.add(self._tail.read())
        return self._progress

    @property
    def outcome(self) -> dict[str, Any]:
        """How it ended: ``state``, ``reason``, ``detail``, ``hint``; or that it runs.

        A run whose processes are gone without a word was ``interrupted``.
        """
        told = self.folder.read_outcome()
        if told is not None:
            return told
        if self._alive():
            return {"state": RUNNING}
        # It may have ended between the two looks.
        return self.folder.read_outcome() or {
            "state": "interrupted",
            "reason": "the run's processes are gone",
            "hint": "%finetune resume goes on from the last checkpoint",
        }

    @property
    def state(self) -> str:
        """The state, one of `progress.ENDS` or ``running``."""
        return str(self.outcome["state"])

    @property
    def trained(self) -> dict[str, Any]:
        """Figures of the training, once it ended: losses, answers, exports, gate."""
        return self.folder.read_json(self.folder.trained)

    def _alive(self) -> bool:
        process = self.folder.read_process()
        if process is not None:
            return bool(process_start(int(process["pid"])) == process["start"])
        # Not told yet: it is about to start, or was killed before it could tell.
        age = time.time() - self.folder.outcome.stat().st_mtime
        return age < _FIRST_S and _held(self.folder.path.parent)

    def stop(self, reason: str = "asked") -> None:
        """Ask the run to write a checkpoint and end; nothing happens to one that has ended."""
        if self.state == RUNNING:
            self.folder.stop.write_text(reason, encoding="utf-8")

    def wait(
        self, timeout: float | None = None, *, watch: Callable[[FineTune], None] = lambda _: None
    ) -> dict[str, Any]:
        """Wait for the end and return the outcome.

        Args:
            timeout: Seconds; None waits as long as it takes.
            watch: Called now and then, and once at the end.

        Raises:
            TimeoutError: It has not ended in time; it goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (outcome := self.outcome)["state"] == RUNNING:
            watch(self)
            if end is not None and time.monotonic() > end:
                raise TimeoutError(f"the run {self.name}/{self.run_id} goes on")
            time.sleep(_POLL_S)
        watch(self)
        return outcome

    def log(self, lines: int = 40) -> str:
        """Return the end of what the training's libraries printed."""
        try:
            text = self.folder.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def raise_unless_done(run: FineTune) -> None:
    """Raise what kept a run from its end.

    Raises:
        RunFailed: It ended in any other state than ``done``, or has not ended.
    """
    outcome = run.outcome
    state, reason = outcome["state"], outcome.get("reason", "")
    if state not in _FINE:
        raise RunFailed(
            f"Fine-tuning {_SAID.get(state, state)}{f': {reason}' if reason else ''}",
            detail=str(outcome.get("detail", "")),
            hint=str(outcome.get("hint", "")) or f"%finetune logs {run.name}",
        )


@contextlib.contextmanager
def hold_name(place: Path) -> Iterator[int]:
    """Hold the lock on a model's name; a process it is handed to keeps it.

    Raises:
        UsageProblem: A run holds it.
    """
    descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageProblem(
                "A run of this name is under way",
                detail=place.name,
                hint="%finetune status shows it, %finetune stop ends it",
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)  # the lock stays with the supervisor, if one was started


def _held(place: Path) -> bool:
    try:
        with hold_name(place):
            return False
    except UsageProblem:
        return True
