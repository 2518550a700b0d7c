"""What a call costs, in integer nano-dollars.

STUB for parallel work: the Protocol is the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llmops_kernel.calls.usage import Usage

NANO = 1_000_000_000


class Price(Protocol):
    """The price of one model."""

    @property
    def version(self) -> str:
        """Where the price comes from and as of when; stored with each ledger event."""
        ...

    @property
    def free(self) -> bool:
        """Whether every call costs nothing."""
        ...

    @property
    def max_output_tokens(self) -> int | None:
        """The model's own bound on output, if known."""
        ...

    def cost(self, usage: Usage) -> int:
        """Settled cost, rounded up to a nano-dollar."""
        ...

    def worst(self, input_tokens: int, output_tokens: int) -> int:
        """Upper bound: uncached or cache-write input, output or reasoning, the dearest tier."""
        ...
