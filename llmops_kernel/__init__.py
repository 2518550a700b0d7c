"""LLMOps for Jupyter: every model call capped before it spends, traced and replayable.

In a notebook: ``%load_ext llmops_kernel``, then ``%%ask``, ``%budget``, ``%trace``, ``%llmops``.
In Python: ``Session(caps=[Cap(scope="user", window="day", usd=2)]).ask("...")``.

Names are imported at first use, so that loading the extension costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmops_kernel._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llmops_kernel.budget.status import CapStatus
    from llmops_kernel.errors import (
        BudgetExceeded,
        CallRefused,
        EnvironmentFailed,
        GuardBlocked,
        LLMOpsError,
        LoopDetected,
        MissingEnvironment,
        MissingExtra,
        OutputInvalid,
        ProviderError,
        RateLimited,
        RunFailed,
        SettingsError,
        SpendingStopped,
        StoreError,
        UnknownModel,
        UnknownPrice,
        UsageProblem,
    )
    from llmops_kernel.prompts.answer import Answer
    from llmops_kernel.session import Session, current_session
    from llmops_kernel.settings import Cap, Settings

_HOMES = {
    "Answer": "llmops_kernel.prompts.answer",
    "Cap": "llmops_kernel.settings",
    "CapStatus": "llmops_kernel.budget.status",
    "Session": "llmops_kernel.session",
    "Settings": "llmops_kernel.settings",
    "current_session": "llmops_kernel.session",
}

__all__ = [
    "Answer",
    "BudgetExceeded",
    "CallRefused",
    "Cap",
    "CapStatus",
    "EnvironmentFailed",
    "GuardBlocked",
    "LLMOpsError",
    "LoopDetected",
    "MissingEnvironment",
    "MissingExtra",
    "OutputInvalid",
    "ProviderError",
    "RateLimited",
    "RunFailed",
    "Session",
    "Settings",
    "SettingsError",
    "SpendingStopped",
    "StoreError",
    "UnknownModel",
    "UnknownPrice",
    "UsageProblem",
    "__version__",
    "current_session",
    "load_ipython_extension",
    "unload_ipython_extension",
]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics, their completion and the cell hooks (``%load_ext llmops_kernel``)."""
    from llmops_kernel.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take everything out again (``%unload_ext llmops_kernel``)."""
    from llmops_kernel.magics import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "llmops_kernel.errors")), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
