"""Where the magics of one shell get their session from.

The extension loads without a session: importing HTTP and prices costs ten times more than the
magics do. The first magic that needs one makes it; hooks and completion only look whether it is
there.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from llmops_kernel.configured import configured

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.errors import LLMOpsError
    from llmops_kernel.session import Session

_refusal: LLMOpsError | None = None


def refuse(error: LLMOpsError | None) -> None:
    """Make every magic raise ``error``: this process could not be brought behind the door."""
    global _refusal  # a property of the process, like its session
    _refusal = error


def refusal() -> LLMOpsError | None:
    """Return why no model call may leave this process, if that is so."""
    return _refusal


class SessionSource:
    """Hands out the process's session and keeps it in step with the running cell.

    Args:
        on_session: Told of each session that comes into use.
    """

    def __init__(self, on_session: Callable[[Session], None]) -> None:
        self._on_session = on_session
        self._known: Session | None = None
        self._cell = ""
        self._begun: Session | None = None

    def active(self) -> Session | None:
        """Return the session if somebody made one, without making it."""
        module = sys.modules.get("llmops_kernel.session")
        return None if module is None else module.active_session()

    def get(self) -> Session:
        """Return the session; the first call makes it, within the running cell.

        Raises:
            SettingsError: The settings cannot be used.
            StoreError: The durable record cannot be opened.
        """
        if _refusal is not None:
            raise _refusal.with_traceback(None)
        session = self.active() or self._make()
        self._enter(session)
        return session

    def configure(self, name: str, value: Any) -> None:
        """Change one setting, of the session there is or of the one to come."""
        session = self.active()
        if session is not None:
            session.configure(**{name: value})
        configured[name] = value

    def begin(self, cell_id: str) -> None:
        """Note that a cell starts."""
        self._cell, self._begun = cell_id, None
        session = self.active()
        if session is not None:
            self._enter(session)

    def end(self, *, ok: bool) -> Session | None:
        """Note that the cell ended; return the session whose calls it made, if there is one."""
        session, begun = self.active(), self._begun
        self._cell, self._begun = "", None
        if session is not None and session is begun:
            session.end_cell(ok)
        return session

    def _make(self) -> Session:
        from llmops_kernel.session import current_session

        note_notebook()
        return current_session()

    def _enter(self, session: Session) -> None:
        if session is not self._known:
            self._known = session
            self._on_session(session)
        if self._cell and self._begun is not session:
            session.begin_cell(self._cell)
            self._begun = session


def note_notebook() -> None:
    """Note the notebook's path, where Jupyter Server tells its kernels and nobody else does."""
    path = os.environ.get("JPY_SESSION_NAME")
    if path and not os.environ.get("LLMOPS_NOTEBOOK"):
        configured["notebook"] = path
