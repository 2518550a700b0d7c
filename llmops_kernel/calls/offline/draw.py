"""Which variant of an answer a choice gets: deterministic, but different between choices."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.calls.offline.answering.classify import Choice


@dataclass(frozen=True, slots=True)
class Draw:
    """One choice of a request.

    Attributes:
        key: What the request hashes to; equal requests draw equally.
        number: The choice's index.
        temperature: 0 always takes the best answer.
        seed: The request's seed; with one, the first choice is drawn too.
    """

    key: str = ""
    number: int = 0
    temperature: float = 0.0
    seed: int | None = None

    @property
    def skip(self) -> int:
        """How many of the best answers to pass over."""
        if self.temperature <= 0:
            return 0
        if self.seed is None:
            return self.number
        passed = self._uniform("skip") < 0.25 * min(self.temperature, 2.0)
        return self.number + passed

    def vary(self, choice: Choice) -> Choice:
        """Draw a label by softmax of the scores; the first choice without a seed takes the best."""
        if (
            self.temperature <= 0
            or len(choice.ranked) < 2
            or (self.number == 0 and self.seed is None)
        ):
            return choice
        best = choice.ranked[0][1] or 1.0
        weights = [
            math.exp((score - best) / (0.25 * self.temperature * abs(best)))
            for _, score in choice.ranked
        ]
        mark = self._uniform("label") * sum(weights)
        places = [place for place, top in enumerate(accumulate(weights)) if mark <= top]
        if not places or places[0] == 0:
            return choice
        drawn = choice.ranked[places[0]]
        rest = tuple(item for item in choice.ranked if item is not drawn)
        return replace(choice, ranked=(drawn, *rest), nearest=None)

    def _uniform(self, purpose: str) -> float:
        data = f"{self.key}|{self.number}|{self.seed}|{purpose}".encode()
        return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") / 2**64
