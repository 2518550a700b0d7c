"""Model names: aliases, providers and where a call goes.

STUB for parallel work: types below are the contract; resolve() is to be written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.calls.prices import Price

Book = Literal["real", "simulated"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes and what it costs.

    Attributes:
        name: The full name, ``provider/model`` (``openai/gpt-4o``, ``sim/gpt-4o``).
        provider: The provider's name; ``offline`` and ``sim`` answer in this process.
        model: The model's name at the provider.
        price: What it costs.
        book: The book its cost is written in.
        base_url: The upstream's URL, without a trailing slash; "" in process.
        key_env: The variable the key is read from; "" for none.
        headers: Further headers.
        limit_field: The name of the output bound the provider wants.
        timeout_s: Seconds without a byte after which the call is given up.
    """

    name: str
    provider: str
    model: str
    price: Price
    book: Book = "real"
    base_url: str = ""
    key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    timeout_s: float = 120.0

    @property
    def simulated(self) -> bool:
        """Whether no real model answers."""
        return self.book == "simulated"
