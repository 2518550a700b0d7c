"""Declared speeds of simulated models: assumptions for labs and benchmarks, not measurements.

Hosted models differ by the hour and the region. The figures are round numbers in the range that
public dashboards showed for each size class, chosen so that small models answer clearly sooner
than large ones. To speak about a real model's speed, measure it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Family:
    """The speed of a class of models.

    Attributes:
        name: The class.
        first_token_s: Median seconds to the first token of a short prompt.
        tokens_per_s: Median output tokens per second of one stream.
        input_tokens_per_s: Prompt tokens read per second, added to the first token's time.
        spread: Sigma of the log-normal spread; 0.3 puts 95 % of calls within a factor of 1.8.
    """

    name: str
    first_token_s: float
    tokens_per_s: float
    input_tokens_per_s: float = 20_000.0
    spread: float = 0.3


_SMALL = Family("small", 0.35, 110.0, 40_000.0)
_MEDIUM = Family("medium", 0.55, 70.0)
_LARGE = Family("large", 1.10, 40.0, 10_000.0)
_SMALL_THINKING = Family("small reasoning", 3.0, 120.0, 30_000.0, 0.45)
_THINKING = Family("reasoning", 8.0, 70.0, 15_000.0, 0.5)

# The first pattern that is found in the model's name decides.
_FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern), family)
    for pattern, family in (
        (r"\bo[134][a-z]*-mini|reasoner-lite|thinking-mini", _SMALL_THINKING),
        (r"\bo[134]\b|reasoner|thinking|-r1\b|deep-research", _THINKING),
        (
            (
                r"mini|nano|flash|haiku|lite|small|tiny|micro|instant|\b[1-9](?:\.\d)?b\b"
                r"|3\.5-turbo|fast"
            ),
            _SMALL,
        ),
        (
            (
                r"opus|ultra|large|405b|253b|180b|\bpro\b|gpt-4(?:-\d{4}|-32k)?$|gpt-4\.5"
                r"|grok-\d+-heavy|max\b"
            ),
            _LARGE,
        ),
    )
)


@lru_cache(maxsize=256)
def family_of(model: str) -> Family:
    """Return the family of a model by its name; medium when nothing in it tells."""
    name = model.lower()
    return next((family for pattern, family in _FAMILIES if pattern.search(name)), _MEDIUM)
