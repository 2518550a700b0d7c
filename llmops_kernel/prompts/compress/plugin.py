"""Compressors of others, as an optional step: LLMLingua-2 and whatever has its shape.

Such models drop words by their likelihood. They know nothing of what a bank must not lose, so
their text is taken paragraph by paragraph, and only where all figures, dates, quotes and negations
are still there in order.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts.compress.protect import keeps_facts, parts

if TYPE_CHECKING:
    from collections.abc import Callable

# What LLMLingua-2 is told to leave in: what ends a sentence, negates or limits it.
_FORCED = ("\n", ".", "?", "!", "not", "no", "never", "without", "except", "unless", "only")
_MODEL = "microsoft/llmlingua-2-xlm-roberta-large-meetingbank"


class Plugin(Protocol):
    """Shortens a text."""

    def __call__(self, text: str, rate: float) -> str:
        """Return the text with about ``rate`` (0..1) of its tokens."""
        ...


class LLMLingua:
    """LLMLingua-2 by the package ``llmlingua``, whose model is loaded at the first text.

    Args:
        model: Name or folder of the model; a folder needs no network.
        device: Where it runs: ``cpu``, ``cuda``, ``mps``.
        load: Makes LLMLingua's ``PromptCompressor`` (default: the package's own).

    Raises:
        UsageProblem: The package is not installed.
    """

    def __init__(
        self, model: str = _MODEL, device: str = "cpu", *, load: Callable[..., Any] | None = None
    ) -> None:
        if load is None and find_spec("llmlingua") is None:
            raise UsageProblem(
                "LLMLingua is not installed",
                hint="pip install llmlingua (it brings PyTorch; its models are downloaded)",
            )
        self._load = load
        self._model = model
        self._device = device
        self._compressor: Any = None

    def __call__(self, text: str, rate: float) -> str:
        """Return the text with about ``rate`` of its tokens."""
        if self._compressor is None:
            load = self._load or import_module("llmlingua").PromptCompressor
            self._compressor = load(
                model_name=self._model, use_llmlingua2=True, device_map=self._device
            )
        told = self._compressor.compress_prompt(
            [text], rate=rate, force_tokens=list(_FORCED), force_reserve_digit=True
        )
        return str(told["compressed_prompt"])


def plugged(text: str, plugin: Plugin, rate: float) -> str:
    """Return a text shortened by a plug-in, paragraph by paragraph, where its facts survive."""
    return "".join(
        piece if frozen else "\n\n".join(_one(each, plugin, rate) for each in piece.split("\n\n"))
        for piece, frozen in parts(text)
    )


def _one(paragraph: str, plugin: Plugin, rate: float) -> str:
    bare = paragraph.strip()
    if not bare:
        return paragraph
    shorter = plugin(bare, rate)
    if not isinstance(shorter, str) or len(shorter := shorter.strip()) >= len(bare):
        return paragraph
    # Blank space at the ends parts it from code and quotes beside it.
    return paragraph.replace(bare, shorter) if keeps_facts(bare, shorter) else paragraph
