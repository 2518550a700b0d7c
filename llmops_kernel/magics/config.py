"""``%config LLMOps.model = "..."``: settings changed from the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from traitlets import Bool, Enum, Unicode, observe
from traitlets.config import Configurable

from llmops_kernel.errors import LLMOpsError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llmops_kernel.magics._session import SessionSource

_short_form = LLMOpsError._render_traceback_


class LLMOps(Configurable):
    """Settings of the current session. None leaves what llmops.toml or LLMOPS_* say."""

    model = Unicode(None, allow_none=True, help="Model or alias of calls that name none").tag(
        config=True
    )
    footer = Bool(None, allow_none=True, help="Show model, tokens and cost below answers").tag(
        config=True
    )
    static = Bool(
        None, allow_none=True, help="Leave durations, times and ids out, for compared outputs"
    ).tag(config=True)
    tracebacks = Enum(
        ["short", "full"], None, allow_none=True, help="How our own errors are shown"
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, source: SessionSource) -> None:
        self._shell = shell
        self._source = source
        super().__init__(parent=shell)

    @observe("model", "footer", "static", "tracebacks")
    def _changed(self, change: Any) -> None:
        name, value = change["name"], change["new"]
        if value is None:
            return
        try:
            self._source.configure(name, value)
        except LLMOpsError:
            self.set_trait(name, change["old"])
            raise
        if name == "tracebacks":
            self.show_errors(value)

    def show_errors(self, form: str) -> None:
        """Show errors of this package as two lines (``short``) or as a whole stack (``full``)."""
        shell = self._shell

        def full(error: LLMOpsError) -> list[str]:
            lines: list[str] = shell.InteractiveTB.structured_traceback(
                type(error), error, error.__traceback__
            )
            return lines

        # IPython looks the renderer up on the exception; there is no switch of the shell for it.
        chosen = full if form == "full" else _short_form
        LLMOpsError._render_traceback_ = chosen  # type: ignore[method-assign,assignment]
