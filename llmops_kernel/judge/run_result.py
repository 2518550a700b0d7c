"""What a run found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd

if TYPE_CHECKING:
    from decimal import Decimal

    from llmops_kernel.judge.scores import Score


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes:
        scores: In the order of the samples, then of the metrics, then of the repeats.
        calls: Model calls that were made now.
        usd_nano: What they cost, in nano-dollars (simulated ones if ``simulated``).
        seconds: Wall time.
        simulated: Whether the dollars are simulated ones.
        resumed: Scores that came from the journal, without a call.
        stopped: Why the run ended early; "" if it did not.
        notes: What a person should know (a torn line of the journal).
    """

    scores: tuple[Score, ...]
    calls: int = 0
    usd_nano: int = 0
    seconds: float = 0.0
    simulated: bool = False
    resumed: int = 0
    stopped: str = ""
    notes: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal:
        """What the calls cost, in dollars."""
        return usd(self.usd_nano)
