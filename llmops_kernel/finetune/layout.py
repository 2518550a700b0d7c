"""The folder of a run: what lies where, and how its end is told.

Standard library only: supervisor and worker both use it, in different environments.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

# Exit codes of the worker; everything else is a failure of its own.
DONE, FAILED, REFUSED, STOPPED, NO_MEMORY, NO_DISK = 0, 1, 3, 4, 5, 6

_OUTCOME_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def name(self) -> str:
        """The model's name."""
        return self.path.parent.name

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def run_json(self) -> Path:
        """What the worker is asked."""
        return self.path / "run.json"

    @property
    def spec(self) -> Path:
        """The specification as it was given."""
        return self.path / "spec.yaml"

    @property
    def data(self) -> Path:
        """Folder of the rows and their manifest."""
        return self.path / "data"

    @property
    def events(self) -> Path:
        """The journal."""
        return self.path / "events.jsonl"

    @property
    def process(self) -> Path:
        """Who runs it: numbers and starting times of processes."""
        return self.path / "process.json"

    @property
    def stop(self) -> Path:
        """The file whose presence asks for an end; it holds the reason."""
        return self.path / "STOP"

    @property
    def log(self) -> Path:
        """What the worker's libraries print."""
        return self.path / "worker.log"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def final(self) -> Path:
        """The trained adapter or model."""
        return self.path / "final"

    @property
    def trained(self) -> Path:
        """The figures of the training; its presence says that ``final`` is whole."""
        return self.path / "trained.json"

    @property
    def out(self) -> Path:
        """Folder of the exports; it becomes a version in the registry."""
        return self.path / "out"

    @property
    def preflight(self) -> Path:
        """What the pre-flight found."""
        return self.path / "preflight.json"

    @property
    def packages(self) -> Path:
        """Versions of the packages that trained."""
        return self.path / "env.lock"

    @property
    def outcome(self) -> Path:
        """How the run ended; blank while it runs."""
        return self.path / "outcome.json"

    def reserve_outcome(self) -> None:
        """Take room for the outcome, so that a full disk can still be told."""
        self.outcome.write_bytes(b" " * _OUTCOME_BYTES)

    def write_outcome(self, outcome: dict[str, Any]) -> None:
        """Write how the run ended, in the room that was reserved."""
        text = json.dumps(outcome, ensure_ascii=True).encode()
        if len(text) > _OUTCOME_BYTES:
            short = {key: str(value)[:1_000] for key, value in outcome.items()}
            text = json.dumps(short, ensure_ascii=True).encode()[:_OUTCOME_BYTES]
        with self.outcome.open("r+b") as file:
            file.write(text.ljust(_OUTCOME_BYTES))
            file.flush()
            os.fsync(file.fileno())

    def read_outcome(self) -> dict[str, Any] | None:
        """Return how the run ended; None while it runs or when nobody could tell."""
        return _object(self.outcome)

    def read_process(self) -> dict[str, Any] | None:
        """Return who runs it; None before it was started."""
        return _object(self.process)

    def read_json(self, path: Path) -> dict[str, Any]:
        """Return a JSON file's object; empty where there is none."""
        return _object(path) or {}

    def checkpoint(self) -> Path | None:
        """Return the newest whole checkpoint.

        The trainer writes ``trainer_state.json`` last, so a folder without it was broken off.
        """
        found = [
            (int(path.parent.name.rpartition("-")[2]), path.parent)
            for path in self.checkpoints.glob("checkpoint-*/trainer_state.json")
            if path.parent.name.rpartition("-")[2].isdigit()
        ]
        return max(found)[1] if found else None


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step: a reader finds the old file or the new one, never a part."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def _object(path: Path) -> dict[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8").strip()
        value = json.loads(text) if text else None
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
