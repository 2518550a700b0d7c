"""Watching a run from a cell: a display that is updated, or lines that are the same in each run."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from llmops_kernel.display.finetune import training_view
from llmops_kernel.finetune.facts import facts_of

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

    from llmops_kernel.finetune.runs import FineTune

_UPDATE_S = 0.5
_STEP = 10  # per cent between lines


class LiveView:
    """Shows a run's figures and curves in one output, and takes them away at the end.

    What stays in the notebook is the cell's result.
    """

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._shown_at = 0.0

    def __call__(self, run: FineTune) -> None:
        """Show the run as it is, at most twice a second."""
        from IPython.display import display

        now = time.monotonic()
        if now - self._shown_at < _UPDATE_S:
            return
        self._shown_at = now
        shown = training_view(facts_of(run))
        if self._handle is None:
            self._handle = display(shown, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(shown)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Leave nothing behind but the result that follows."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]


class Lines:
    """Prints a line at every tenth of the training, each once and none left out."""

    def __init__(self) -> None:
        self._next = _STEP

    def __call__(self, run: FineTune) -> None:
        """Print the lines that are due."""
        done = run.progress.share * 100
        while self._next <= 100 and done >= self._next:
            sys.stdout.write(f"{run.name}: {self._next} % of the steps\n")
            self._next += _STEP

    def close(self) -> None:
        """Write what was printed."""
        sys.stdout.flush()
