"""Loading optional packages, quietly, with the name of the extra that brings them."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from typing import Any

from llmops_kernel.errors import MissingExtra


@cache
def load(module: str, *, extra: str) -> Any:
    """Import a module of an optional package.

    That these packages use what is deprecated in each other is nothing a person can act on, and
    not shown. The filter holds during the import only.

    Raises:
        MissingExtra: It is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        try:
            return import_module(module)
        except ImportError as error:
            raise MissingExtra(extra, error.name or module) from error
