"""Runs that outlive the process that started them: start, resume, find."""

from __future__ import annotations

import secrets
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.finetune import launch
from llmops_kernel.finetune.asking import asked_of, checked_name
from llmops_kernel.finetune.layout import RunFolder, write_json
from llmops_kernel.finetune.progress import RUNNING
from llmops_kernel.finetune.run import FineTune, hold_name, raise_unless_done
from llmops_kernel.settings import data_home

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.finetune.spec.model import FineTuneSpec
    from llmops_kernel.store import Store

__all__ = [
    "FineTune",
    "find_run",
    "list_runs",
    "raise_unless_done",
    "resume",
    "runs_home",
    "start",
]

_RESUMABLE = ("stopped", "interrupted", "failed", "refused")


def runs_home() -> Path:
    """Return the folder of all runs (``finetune`` in the record's)."""
    return data_home() / "finetune"


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

    With ``backend: {name: axolotl-export}`` nothing is trained: the run ends with Axolotl's YAML,
    checked where an environment can.

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
    with hold_name(place) as lock:
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
                from llmops_kernel.finetune.axolotl import write_config

                write_config(run)
                if not python:
                    return _written_only(folder)
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
    if state == RUNNING and run.folder.stop.exists():
        raise UsageProblem(
            "The run is stopping and cannot be resumed yet",
            detail=f"{run.name}/{run.run_id}",
            hint="%finetune status shows when it has ended; then resume it",
        )
    if state not in _RESUMABLE:
        raise UsageProblem(
            "The run cannot be resumed", detail=f"{run.name}/{run.run_id} is {state}"
        )
    folder = run.folder
    with hold_name(folder.path.parent) as lock:
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


def _written_only(folder: RunFolder) -> FineTune:
    """End a run that nobody here can check: it says so."""
    from llmops_kernel.finetune.axolotl import not_checked, written
    from llmops_kernel.finetune.events import Journal

    found = not_checked()
    write_json(folder.preflight, found)
    Journal(folder.events).emit({"event": "preflight", **found})
    folder.write_outcome(written(folder.path))
    return FineTune(folder)


def _launched(folder: RunFolder, lock: int) -> FineTune:
    launch.spawn(folder, lock)
    return FineTune(folder)
