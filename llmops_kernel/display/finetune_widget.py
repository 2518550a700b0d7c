"""The widget that shows a training as it runs, and can stop it."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.finetune_state import training_curves, training_state
from llmops_kernel.errors import LLMOpsError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HERE = Path(__file__).parent


class TrainingWidget:
    """A run's live view; any thread may refresh it.

    Args:
        read: Returns what is known of the run, as for `training_state`; called by one thread at a
            time.
        stop: Asks the run to stop; called from whichever thread hears the button.
        blocking: Whether a cell waits for the run.

    Raises:
        MissingExtra: anywidget is not installed.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Any]],
        stop: Callable[[], None],
        *,
        blocking: bool = False,
    ) -> None:
        self._lock = threading.RLock()
        self._read = read
        self._stop = stop
        self._blocking = blocking
        self._problem, self._turn = "", 0
        self.model: Any = _widget_class()(**self._traits())
        self.model.on_msg(self._received)
        _hear_while_busy(self.model.comm)

    @property
    def closed(self) -> bool:
        """Whether the front end or the kernel took it away."""
        return self.model.comm is None

    @property
    def bundle(self) -> dict[str, Any]:
        """What a front end needs to show it."""
        shown = self.model._repr_mimebundle_()
        data = shown[0] if isinstance(shown, tuple) else shown
        return dict(data or {})

    def refresh(self) -> None:
        """Show the run as it is now; sends only what has changed."""
        with self._lock:
            if self.closed:
                return
            with self.model.hold_sync():
                for name, value in self._traits().items():
                    setattr(self.model, name, value)

    def close(self) -> None:
        """Take it away from every front end."""
        with self._lock:
            self.model.close()

    def _traits(self) -> dict[str, Any]:
        facts = self._read()
        state = training_state(facts, blocking=self._blocking)
        told = {"problem": self._problem, "turn": self._turn}
        return {"state": {**state, **told}, "curves": training_curves(facts)}

    def _received(self, _: Any, content: Any, __: Any) -> None:
        """Do what the button asks; whatever else comes is refused and told."""
        said = content if isinstance(content, dict) else {}
        with self._lock:
            if said.get("command") == "stop" and said.get("run") == self.model.state["run"]:
                self._problem = self._stopped()
            else:
                self._problem = "This view can stop the run it shows, and nothing else."
            self._turn += 1  # so that the front end sees that it was heard
            self.refresh()

    def _stopped(self) -> str:
        try:
            self._stop()
        except LLMOpsError as error:
            return error.sentence()
        except OSError as error:
            return f"The run could not be told to stop: {error.strerror or error}"
        return ""


def _hear_while_busy(comm: Any) -> None:
    """Let the button reach the kernel while a cell runs, where kernel and front end can.

    JupyterLab sends what widgets say to a subshell, a thread of the kernel beside the one that
    runs cells. ipykernel from 7.4 on sends it back to where the widget last spoke from, which for
    a view that a cell made is the thread that is busy. What stops a run has to be heard beside
    it, so this comm takes the front end's word. Kernels before 7 have no subshells, and those
    before 7.4 no such rule.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _, default: default  # noqa: SLF001 - no public way


@cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise MissingExtra("widgets", error.name or "anywidget") from error

    class TrainingModel(anywidget.AnyWidget):  # type: ignore[misc,unused-ignore]
        _esm = _HERE / "finetune.js"
        _css = _HERE / "finetune.css"
        state = traitlets.Dict().tag(sync=True)
        curves = traitlets.Dict().tag(sync=True)

    return TrainingModel
