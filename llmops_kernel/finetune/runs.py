"""Runs that outlive the process that started them: start, look, stop, resume."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import RunFailed, UsageProblem, nearest
from llmops_kernel.finetune import launch
from llmops_kernel.finetune.asking import asked_of, checked_name
from llmops_kernel.finetune.events import Tail
from llmops_kernel.finetune.layout import RunFolder, process_start, write_json
from llmops_kernel.finetune.progress import RUNNING, Progress
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmops_kernel.finetune.spec.model import FineTuneSpec
    from llmops_kernel.store import Store

_RESUMABLE = ("stopped", "interrupted", "failed", "refused")
_FIRST_S = 60.0  # a supervisor that has not told its number by then has died
_POLL_S = 0.2


def runs_home() -> Path:
    """Return the folder of all runs (``finetune`` in the record's)."""
    return data_home() / "finetune"


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
        return age < _FIRST_S and _locked(self.folder.path.parent)

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


def start(
    spec: FineTuneSpec,
    name: str,
    *,
    text: str = "",
    home: Path | None = None,
    store: Store | None = None,
    only_preflight: bool = False,
) -> FineTune:
    """Prepare the data and start a run in processes of its own.

    With ``backend: {name: axolotl-export}`` nothing is run: the run ends with Axolotl's YAML.

    Args:
        spec: The job.
        name: Name of the model; one run of a name at a time.
        text: The specification as it was written, to be kept with the run.
        home: Folder of all runs.
        store: The record, for rows from traces.
        only_preflight: Check, and train nothing.

    Raises:
        UsageProblem: The name cannot be, is in use by a run, or the data cannot be used.
        MissingEnvironment: The backend's environment was not made yet.
    """
    checked_name(name)
    python = launch.interpreter(spec.backend)
    place = (home or runs_home()) / name
    place.mkdir(parents=True, exist_ok=True)
    with _lock(place) as lock:
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = RunFolder(place / f"{now}-{secrets.token_hex(2)}")
        folder.path.mkdir()
        try:
            run = asked_of(spec, name, folder, python, store)
            run["command"] = "preflight" if only_preflight else "run"
            folder.spec.write_text(text, encoding="utf-8")
            write_json(folder.run_json, run)
            folder.reserve_outcome()
            if not run["execute"]:
                return _written_only(folder, run)
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return _launched(folder, lock)


def resume(run: FineTune) -> FineTune:
    """Go on with a run that did not reach its end, from its newest whole checkpoint.

    Raises:
        UsageProblem: It runs, or reached its end.
    """
    state = run.state
    if state not in _RESUMABLE:
        raise UsageProblem(
            "The run cannot be resumed", detail=f"{run.name}/{run.run_id} is {state}"
        )
    folder = run.folder
    with _lock(folder.path.parent) as lock:
        for path in (folder.stop, folder.process):
            path.unlink(missing_ok=True)
        write_json(folder.run_json, {**run.asked, "resume": True})
        folder.reserve_outcome()
        return _launched(folder, lock)


def list_runs(name: str | None = None, *, home: Path | None = None) -> list[FineTune]:
    """Return the runs of a model (or of all), newest first."""
    place = home or runs_home()
    found = place.glob(f"{name or '*'}/*/run.json")
    runs = [FineTune(RunFolder(path.parent)) for path in found]
    return sorted(runs, key=lambda run: (run.run_id, run.name), reverse=True)


def find_run(name: str | None = None, *, home: Path | None = None) -> FineTune:
    """Return a run by ``NAME`` (its newest) or ``NAME/RUN_ID``; the newest of all without.

    Raises:
        UsageProblem: There is none.
    """
    model, _, run_id = (name or "").partition("/")
    runs = list_runs(home=home)
    if not runs:
        raise UsageProblem("There is no fine-tuning run yet", hint="%%finetune NAME starts one")
    for run in runs:
        if (not model or run.name == model) and (not run_id or run.run_id == run_id):
            return run
    names = sorted({run.name for run in runs})
    raise UsageProblem(
        f"There is no run {name!r}{nearest(str(name), names)}", hint=f"Known: {', '.join(names)}"
    )


def _written_only(folder: RunFolder, run: dict[str, Any]) -> FineTune:
    from llmops_kernel.finetune.axolotl import COMMAND, write_config

    path = write_config(run)
    folder.write_outcome(
        {"state": "written", "detail": str(path), "hint": f"cd {folder.path} && {COMMAND}"}
    )
    return FineTune(folder)


def _launched(folder: RunFolder, lock: int) -> FineTune:
    launch.spawn(folder, lock)
    return FineTune(folder)


@contextlib.contextmanager
def _lock(place: Path) -> Iterator[int]:
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


def _locked(place: Path) -> bool:
    try:
        with _lock(place):
            return False
    except UsageProblem:
        return True


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


_FINE = ("done", "checked", "written")
_SAID = {
    "running": "goes on",
    "rejected": "made a model that was not registered",
    "refused": "was not started",
    "stopped": "was stopped",
    "failed": "failed",
    "interrupted": "was interrupted",
}
