"""What happens before and after each cell: whose calls they are, what they cost, what to know.

Why the note about foreign errors hangs on ``post_run_cell``: a library that meets our HTTP 402
raises its own exception, whose stack hides the reason. ``shell.set_custom_exc`` has one slot for
all extensions, takes over the display of the error and would change what papermill and nbval save.
A line on stderr after the cell leaves the error output (name, value, stack) as Python made it, so
the cell fails as before, in a live front end, in papermill and in nbval alike.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.magics._session import refusal
from llmops_kernel.magics.notes import explain

if TYPE_CHECKING:
    from IPython.core.interactiveshell import (
        ExecutionInfo,
        ExecutionResult,
        InteractiveShell,
    )

    from llmops_kernel.magics._session import SessionSource
    from llmops_kernel.session import Session


class CellHooks:
    """Tells the session where the notebook is. Makes no session itself."""

    def __init__(self, shell: InteractiveShell, source: SessionSource) -> None:
        self._shell = shell
        self._source = source
        self._running: ExecutionInfo | None = None
        self._told = False
        # The shell counts up before a cell or after it, depending on its version.
        self._next = shell.execution_count

    def register(self) -> None:
        """Start listening to the shell."""
        self._shell.events.register("pre_run_cell", self.before)
        self._shell.events.register("post_run_cell", self.after)

    def unregister(self) -> None:
        """Stop listening."""
        self._shell.events.unregister("pre_run_cell", self.before)
        self._shell.events.unregister("post_run_cell", self.after)

    def before(self, info: ExecutionInfo) -> None:
        """Note the cell; one that runs inside another (``%run nb.ipynb``) belongs to the outer."""
        if self._running is not None:
            return
        self._running = info
        if (reason := refusal()) is not None and not self._told:
            self._told = True
            say(_closed(reason))
        with _Reported():
            self._source.begin(info.cell_id or f"In[{self._next}]")

    def after(self, result: ExecutionResult | None) -> None:
        """Close the cell, show alerts and explain foreign errors.

        ``result`` is None when the kernel cancelled an asynchronous cell. An empty cell comes here
        without having started.
        """
        self._next = self._shell.execution_count
        if result is not None and result.info is not self._running:
            return
        self._running = None
        session = None
        with _Reported():
            session = self._source.end(ok=result is not None and bool(result.success))
            for sentence in _alerts(session):
                say(sentence)
        error = _error(result)
        reason = refusal()
        if error is not None and reason is not None and not isinstance(error, LLMOpsError):
            say(_closed(reason))
        elif note := explain(error, figures=session is None or not session.settings.static):
            say(note)


class _Reported:
    """Turns our errors into a line: IPython would show a hook's error as the cell's own."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, stack: object) -> bool:
        if isinstance(error, LLMOpsError):
            say(error.sentence())
            return True
        return False


def say(sentence: str) -> None:
    """Write one line to the cell's stderr."""
    sys.stderr.write(f"llmops: {sentence}\n")


def _alerts(session: Session | None) -> list[str]:
    alerts = session.alerts() if session is not None else []
    if alerts and session is not None and session.settings.static:
        # Amounts and run ids differ between runs whose outputs are compared.
        return ["A cap has passed one of its alert steps; %budget shows which."]
    return alerts


def _closed(reason: LLMOpsError) -> str:
    return f"No model call can leave this kernel. {reason.sentence()}"


def _error(result: ExecutionResult | None) -> BaseException | None:
    if result is None:
        return None
    return result.error_in_exec or result.error_before_exec
