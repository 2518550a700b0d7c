"""What ``%cache`` returns: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.display import (
    View,
    cache_audit_view,
    cache_explain_view,
    cache_stats_view,
    count,
)
from llmops_kernel.display.cache_tune import cache_tune_view
from llmops_kernel.display.mime import view
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.cache.explain import Audit, Explanation, Hit
    from llmops_kernel.cache.semantic.tuning import PartitionReport, Tuning
    from llmops_kernel.cache.stats import CacheStats


@dataclass(frozen=True, repr=False)
class CachePage(Shown):
    """What the cache holds and what it has saved."""

    stats: CacheStats
    switches: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def view(self) -> View:
        """Build the page."""
        return cache_stats_view(self.stats, switches=self.switches, warnings=self.warnings)


@dataclass(frozen=True, repr=False)
class Cleared(Shown):
    """How many answers were deleted."""

    count: int

    def view(self) -> View:
        """Build the sentence."""
        said = f"Answers deleted: {count(self.count)}"
        return view(f"<p>{said}</p>", said, {"deleted": self.count})


@dataclass(frozen=True, repr=False)
class Explained(Shown):
    """What the cache would do with a question."""

    asked: str
    explanation: Explanation
    stable: bool = False

    @property
    def tier(self) -> str:
        """A tier's name, such as ``exact``, or "" when a model would be called."""
        return self.explanation.tier

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.explanation.reason

    def view(self) -> View:
        """Build the explanation."""
        return cache_explain_view(self.explanation, question=self.asked, stable=self.stable)


@dataclass(frozen=True, repr=False)
class AuditPage(Shown):
    """Hits on other texts, those that wait for a verdict first; iterates over them."""

    audit: Audit
    stable: bool = False

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.audit.hits)

    def __len__(self) -> int:
        return len(self.audit.hits)

    def view(self) -> View:
        """Build the list."""
        return cache_audit_view(self.audit, stable=self.stable)


@dataclass(frozen=True, repr=False)
class TunePage(Shown):
    """The partitions of the margin tier; iterates over them."""

    tuning: Tuning

    def __iter__(self) -> Iterator[PartitionReport]:
        return iter(self.tuning.partitions)

    def __len__(self) -> int:
        return len(self.tuning.partitions)

    def view(self) -> View:
        """Build the list."""
        return cache_tune_view(self.tuning)
