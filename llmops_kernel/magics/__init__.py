"""The magics: ``%llmops``, ``%budget``, ``%%ask``, ``%%rag`` and ``%rag``, ``%trace``.

Each file parses its line, calls the room whose subject it is and returns one result object; prices,
prompts and records are decided below. `load` adds them to a shell together with their completion,
the cell hooks and ``%config LLMOps``, without making a session; `unload` takes all of it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.magics._session import SessionSource, refusal, refuse

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["SessionSource", "load", "refusal", "refuse", "unload"]

_ATTRIBUTE = "_llmops_extension"


def load(shell: InteractiveShell) -> None:
    """Add everything to a shell; a second call does nothing."""
    from llmops_kernel.magics.extension import Extension

    if getattr(shell, _ATTRIBUTE, None) is None:
        extension = Extension(shell)
        extension.register()
        setattr(shell, _ATTRIBUTE, extension)


def unload(shell: InteractiveShell) -> None:
    """Take everything out of a shell again; the session stays, for code that uses it."""
    extension = getattr(shell, _ATTRIBUTE, None)
    if extension is not None:
        extension.unregister()
        setattr(shell, _ATTRIBUTE, None)
