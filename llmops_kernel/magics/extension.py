"""All parts of the extension in one shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.configured import configured
from llmops_kernel.errors import UsageProblem
from llmops_kernel.magics import syntax
from llmops_kernel.magics._session import SessionSource, note_notebook
from llmops_kernel.magics.ask import AskMagics
from llmops_kernel.magics.budget import BudgetMagics
from llmops_kernel.magics.cache import CacheMagics
from llmops_kernel.magics.complete import Completion
from llmops_kernel.magics.config import LLMOps
from llmops_kernel.magics.finetune import FineTuneMagics
from llmops_kernel.magics.hooks import CellHooks
from llmops_kernel.magics.judge import JudgeMagics
from llmops_kernel.magics.llmops import LLMOpsMagics
from llmops_kernel.magics.rag import RagMagics
from llmops_kernel.magics.route import RouteMagics
from llmops_kernel.magics.serve import ServeMagics
from llmops_kernel.magics.trace import TraceMagics

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.magic import Magics

    from llmops_kernel.session import Session


_MAGICS = (
    LLMOpsMagics,
    BudgetMagics,
    AskMagics,
    RagMagics,
    JudgeMagics,
    CacheMagics,
    FineTuneMagics,
    RouteMagics,
    ServeMagics,
    TraceMagics,
)


class Extension:
    """What ``%load_ext llmops_kernel`` adds to a shell, and takes out again."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self.source = SessionSource(self._adopt)
        self._config = LLMOps(shell, self.source)
        self._magics: list[Magics] = [kind(shell, self.source) for kind in _MAGICS]
        methods = {
            ("%%" if kind == "cell" else "%") + name: method
            for each in self._magics
            for kind, table in each.magics.items()
            for name, method in table.items()
        }
        # IPython would answer `%%budget` with a printed line, and a run would go on.
        self._lines = {
            name: _no_cell_form(name)
            for each in self._magics
            for name in each.magics["line"]
            if "%%" + name not in methods
        }
        self._completion = Completion(shell, methods, self.source)
        self._hooks = CellHooks(shell, self.source)

    def register(self) -> None:
        """Add everything."""
        note_notebook()
        self._shell.register_magics(*self._magics)
        for name, refuse in self._lines.items():
            self._shell.magics_manager.register_function(refuse, "cell", name)
        self._shell.configurables.append(self._config)  # type: ignore[arg-type]  # %config's list
        syntax.register(self._shell)
        self._completion.register()
        self._hooks.register()

    def unregister(self) -> None:
        """Take everything out, leaving alone what somebody else has put in its place."""
        self._hooks.unregister()
        self._completion.unregister()
        syntax.unregister(self._shell)
        self._config.show_errors("short")
        configured.clear()
        tables = [item for each in self._magics for item in each.magics.items()]
        for kind, table in [*tables, ("cell", self._lines)]:
            theirs = self._shell.magics_manager.magics[kind]
            for name, method in table.items():
                if theirs.get(name) == method:
                    del theirs[name]
        ours = [self._config, *self._magics]
        self._shell.configurables[:] = [
            each for each in self._shell.configurables if not any(each is own for own in ours)
        ]

    def _adopt(self, session: Session) -> None:
        self._config.show_errors(session.settings.tracebacks)


def _no_cell_form(name: str) -> Callable[[str, str], None]:
    def refuse(line: str, cell: str) -> None:  # noqa: ARG001 - as IPython calls it
        raise UsageProblem(
            f"%{name} has no cell form",
            hint=f"Write %{name} {line}".rstrip() + " on a line of its own",
        )

    return refuse
