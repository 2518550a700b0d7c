"""What the cache holds and what it has saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache holds and what it has saved.

    Attributes:
        entries: Answers that may be served now.
        bytes: Bytes they take, about.
        hits: Calls answered from cache, in all tiers.
        misses: Calls that could have been answered from cache, and were sent.
        tiers: Hits by tier: ``exact`` (the answer lay there), ``near_verbatim`` (that of the same
            question in other manners did) and ``flight`` (an identical request was on its way).
        tampered: Rows that were edited, damaged or of another version, and removed.
        evicted: Answers that had to go for others.
        saved_nano: Nano-dollars the hits would have cost, by book; books are never added up.
    """

    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0
    tiers: Mapping[str, int] = field(default_factory=dict)
    tampered: int = 0
    evicted: int = 0
    saved_nano: Mapping[str, int] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float | None:
        """Hits per cacheable call; None when there was none."""
        calls = self.hits + self.misses
        return self.hits / calls if calls else None

    def saved(self, book: str = "real") -> Decimal:
        """Return the US dollars saved in a book."""
        return usd(self.saved_nano.get(book, 0))


def summed(entries: int, size: int, totals: Iterable[tuple[str, str, str, int, int]]) -> CacheStats:
    """Return the statistics of (kind, tier, book, count, saved nano-dollars) rows."""
    kinds: dict[str, int] = {}
    tiers: dict[str, int] = {}
    saved: dict[str, int] = {}
    for kind, tier, book, count, nano in totals:
        kinds[kind] = kinds.get(kind, 0) + count
        if kind == "hit":
            tiers[tier] = tiers.get(tier, 0) + count
            saved[book] = saved.get(book, 0) + nano
    return CacheStats(
        entries=entries,
        bytes=size,
        hits=kinds.get("hit", 0),
        misses=kinds.get("miss", 0),
        tiers=tiers,
        tampered=kinds.get("tampered", 0),
        evicted=kinds.get("evicted", 0),
        saved_nano=saved,
    )
