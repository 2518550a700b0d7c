"""The embedder of the margin tier, which is loaded when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.embed.minilm import ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.embed import Embedder


@dataclass(frozen=True, slots=True)
class LateEmbedder:
    """An embedder that is loaded when it is needed.

    Attributes:
        name: As the settings call it: ``builtin``, or a model's name.
        load: Returns it; may raise `LLMOpsError`.
    """

    name: str
    load: Callable[[], Embedder]

    @property
    def id(self) -> str:
        """Model and version: vectors of different ids are never compared."""
        return ID if self.name == "builtin" else f"{self.name}@1"
