"""Watching a run from a notebook: live views, a display that is updated, or lines.

Where widgets can be shown a thread follows the run and keeps every view of it up to date, whether
a cell waits for the run or it was detached. It ends with the run, or when its views are closed.
Then each view is replaced by the still picture, which is what a saved notebook should show: the
widget of a kernel that is gone is an error message.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

from llmops_kernel.display.finetune import training_view
from llmops_kernel.display.finetune_widget import TrainingWidget
from llmops_kernel.errors import MissingExtra
from llmops_kernel.finetune.facts import facts_of, live_facts
from llmops_kernel.finetune.progress import RUNNING
from llmops_kernel.finetune.runs import FineTune

if TYPE_CHECKING:
    from pathlib import Path

    from IPython.display import DisplayHandle

    from llmops_kernel.display.mime import View

_UPDATE_S = 0.5
_STEP = 10  # per cent between lines
_following: dict[Path, Follower] = {}  # a run has one widget, however many cells show it
_guard = threading.Lock()
_logger = logging.getLogger(__name__)


def follow(run: FineTune, *, blocking: bool = False) -> Follower | None:
    """Return what follows a run; the one there is already, if there is one.

    Args:
        run: The run.
        blocking: Whether a cell waits for the run.

    Returns:
        None where there is nothing to follow (it has ended) or nothing to show (anywidget is not
        installed).
    """
    if run.state != RUNNING:  # also while a thread has yet to notice
        return None
    with _guard:
        found = _following.get(run.folder.path)
        if found is not None and found.is_alive():
            return found
        try:
            made = Follower(run, blocking=blocking)
        except MissingExtra:
            return None
        _following[run.folder.path] = made
        made.start()
        return made


class Follower(threading.Thread):
    """Keeps the live views of one run up to date until it ends.

    Args:
        run: The run; read through an object of the thread's own.
        blocking: Whether a cell waits for it.

    Raises:
        MissingExtra: anywidget is not installed.
    """

    def __init__(self, run: FineTune, *, blocking: bool) -> None:
        super().__init__(name=f"llmops-finetune-{run.run_id}", daemon=True)
        self._run = FineTune(run.folder)
        self._handles: list[DisplayHandle] = []
        self._changing = threading.Lock()
        self._ended = False
        self.widget = TrainingWidget(lambda: live_facts(self._run), run.stop, blocking=blocking)

    def show(self, still: View) -> DisplayHandle | None:
        """Show the run here, live.

        Args:
            still: What stands beside the widget, for who cannot show it.

        Returns:
            The output, to be taken away with `clear`; None once the run has ended.
        """
        from IPython.display import display

        with self._changing:
            if self._ended:
                return None
            data = {**self.widget.bundle, **still.data}
            handle = display(data, metadata=still.metadata, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            if handle is not None:  # a plain shell prints and has no outputs to come back to
                self._handles.append(handle)
        return handle  # type: ignore[no-any-return]

    def clear(self, handle: DisplayHandle) -> None:
        """Take one output away; nothing follows in its place."""
        with self._changing:
            if handle in self._handles:
                self._handles.remove(handle)
            handle.update({"text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]

    def run(self) -> None:
        """Follow the run; called by the thread."""
        try:
            while self._run.state == RUNNING and not self.widget.closed:
                self.widget.refresh()
                time.sleep(_UPDATE_S)
            self.widget.refresh()
            self._picture()
        except Exception:  # its output would stand in whatever cell is running
            _logger.debug("The view of %s ended", self._run.name, exc_info=True)
        finally:
            with self._changing:
                self._ended = True
            with _guard:
                if _following.get(self._run.folder.path) is self:
                    del _following[self._run.folder.path]

    def _picture(self) -> None:
        """Leave the still picture where the widget was."""
        still = training_view(facts_of(self._run))
        with self._changing:
            self._ended = True
            for handle in self._handles:
                handle.update(still)  # type: ignore[no-untyped-call]
            self._handles.clear()


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


class WidgetView:
    """The live view with its button, for a cell that waits; falls back to `LiveView`.

    A cell that is interrupted leaves the view where it is, until the run has written its
    checkpoint and ended.
    """

    def __init__(self) -> None:
        self._plain: LiveView | None = None
        self._follower: Follower | None = None
        self._handle: DisplayHandle | None = None

    def __call__(self, run: FineTune) -> None:
        """Show the run; what is shown keeps itself up to date."""
        if self._follower is not None:
            return
        if self._plain is None:
            self._follower = follow(run, blocking=True)
            if self._follower is not None:
                self._handle = self._follower.show(training_view(facts_of(run)))
                return
            self._plain = LiveView()
        self._plain(run)

    def close(self) -> None:
        """Leave nothing behind but the result that follows."""
        if self._plain is not None:
            self._plain.close()
        if self._follower is not None and self._handle is not None:
            self._follower.clear(self._handle)


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
