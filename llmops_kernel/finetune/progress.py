"""A run as its journal tells it: curves, speed, memory, the latest sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RUNNING = "running"
# How a run can end. `checked` and `written` were asked to train nothing; only `done` registers.
ENDS = (
    "done", "checked", "written", "rejected", "refused", "stopped", "failed", "interrupted",
)  # fmt: skip


@dataclass(slots=True)
class Progress:
    """What is known of a run; `add` keeps it up to date.

    Attributes:
        phase: What is being done: ``starting``, ``pre-flight``, ``training``, ``evaluating
            answers``, ``exporting``, ``done``.
        step: Optimiser steps so far.
        steps: Optimiser steps in all; 0 before it is known.
        epoch: Passes over the rows so far.
        train_loss: (step, loss) as it was logged.
        eval_loss: (step, loss); step 0 is the model before training.
        tokens: Tokens trained on, over all.
        tokens_per_s: Speed since the training began or was resumed.
        eta_s: Seconds that are left of the training, at the speed so far.
        memory: Most bytes the worker was seen with.
        estimate: Lowest and highest bytes that were expected.
        sample: The probe prompt's latest answer: ``step``, ``prompt``, ``text``.
        preflight: Verdict and checks of the pre-flight.
        exports: The exports that ended, in order.
        error: The last failure that was told.
        resumed: The step a resumed run went on from.
        first_at: When the worker began, the last time it did (seconds since 1970).
        last_at: When the last event came.
        before_s: Seconds of the times before that; a resumed run has rested in between.
    """

    phase: str = "starting"
    step: int = 0
    steps: int = 0
    epoch: float = 0.0
    train_loss: list[tuple[int, float]] = field(default_factory=list)
    eval_loss: list[tuple[int, float]] = field(default_factory=list)
    tokens: int = 0
    tokens_per_s: float | None = None
    eta_s: float | None = None
    memory: int = 0
    estimate: tuple[int, int] | None = None
    sample: dict[str, Any] | None = None
    preflight: dict[str, Any] | None = None
    exports: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    resumed: int = 0
    first_at: float | None = None
    last_at: float | None = None
    before_s: float = 0.0

    @property
    def share(self) -> float:
        """How much of the training is done (0..1)."""
        return min(self.step / self.steps, 1.0) if self.steps else 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds of work up to the last event, without the rest before a resumption."""
        if self.first_at is None or self.last_at is None:
            return self.before_s
        return self.before_s + self.last_at - self.first_at

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take in further events of the journal."""
        for event in events:
            at = event.get("at")
            if event.get("event") == "begin":
                self.before_s, self.first_at = self.elapsed_s, None
            if isinstance(at, int | float):
                self.first_at = self.first_at if self.first_at is not None else float(at)
                self.last_at = float(at)
            take = _TAKERS.get(str(event.get("event")))
            if take is not None:
                take(self, event)
            self.memory = max(self.memory, int(event.get("memory") or 0))


def _begun(progress: Progress, _: Mapping[str, Any]) -> None:
    progress.phase = "starting"
    progress.error = None
    progress.eta_s = None


def _preflight(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.phase = "pre-flight"
    if "checks" in event:
        progress.preflight = dict(event)
    estimate = event.get("estimate")
    if isinstance(estimate, dict) and "low" in estimate:
        progress.estimate = (int(estimate["low"]), int(estimate["high"]))


def _train(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.phase = "training"
    progress.steps = int(event.get("steps") or 0)
    progress.resumed = int(event.get("from_step") or 0)
    progress.step = progress.resumed
    # What ran after the checkpoint that a resumed run goes on from is run again.
    progress.train_loss = [p for p in progress.train_loss if p[0] <= progress.resumed]
    progress.eval_loss = [p for p in progress.eval_loss if p[0] <= progress.resumed]


def _step(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.phase = "training"
    progress.step = max(progress.step, int(event.get("step") or 0))
    progress.steps = int(event.get("steps") or progress.steps)
    progress.epoch = float(event.get("epoch") or progress.epoch)
    if isinstance(loss := event.get("loss"), int | float):
        progress.train_loss.append((int(event["step"]), float(loss)))
    progress.tokens = int(event.get("tokens") or progress.tokens)
    for name in ("tokens_per_s", "eta_s"):
        if isinstance(value := event.get(name), int | float):
            setattr(progress, name, float(value))


def _eval(progress: Progress, event: Mapping[str, Any]) -> None:
    if isinstance(loss := event.get("loss"), int | float):
        progress.eval_loss.append((int(event.get("step") or 0), float(loss)))


def _sample(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.sample = {key: event.get(key) for key in ("step", "prompt", "text")}


def _export(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.phase = "exporting"
    if event.get("state") != "started":
        progress.exports = [e for e in progress.exports if e["export"] != event.get("export")]
        progress.exports.append({key: event[key] for key in event if key not in ("event", "at")})


def _answers(progress: Progress, _: Mapping[str, Any]) -> None:
    progress.phase = "evaluating answers"


def _error(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.error = dict(event)


def _done(progress: Progress, _: Mapping[str, Any]) -> None:
    progress.phase = "done"
    progress.eta_s = 0.0


_TAKERS = {
    "begin": _begun,
    "preflight": _preflight,
    "train": _train,
    "step": _step,
    "eval": _eval,
    "sample": _sample,
    "export": _export,
    "answers": _answers,
    "error": _error,
    "done": _done,
}
