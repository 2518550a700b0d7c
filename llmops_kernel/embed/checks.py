"""What embedders share: checks of texts, and packages that may be missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from llmops_kernel.errors import MissingExtra, UsageProblem

_HINT = "Pass a list of strings to embed_texts, or one string to embed_query"


def check_texts(texts: object) -> list[str]:
    """Return texts as a list.

    Raises:
        UsageProblem: It is one text, or has something else than texts in it.
    """
    if isinstance(texts, str | bytes) or not hasattr(texts, "__iter__"):
        raise UsageProblem("Texts to embed must come as a list", hint=_HINT)
    listed = list(texts)
    for number, text in enumerate(listed):
        if not isinstance(text, str):
            raise UsageProblem(
                "Only texts can be embedded",
                detail=f"item {number} is of type {type(text).__name__}",
                hint=_HINT,
            )
    return listed


def package(name: str) -> Any:
    """Return a module that only an extra brings (raises `MissingExtra`)."""
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra("rag", name) from error
