"""What people ask of the cache: what it would do, has done and holds; and how they clear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cache import stats
from llmops_kernel.cache.backend import Selection
from llmops_kernel.cache.explain import audit_of
from llmops_kernel.cache.semantic.watch import off_sentence
from llmops_kernel.store import cache_rows, hit_rows, margin_rows

if TYPE_CHECKING:
    from llmops_kernel.cache.explain import Audit
    from llmops_kernel.cache.semantic.margin_path import Margin
    from llmops_kernel.cache.semantic.watch import Watch
    from llmops_kernel.cache.shelf import Shelf
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store

_MICRO = 1_000_000


class Desk:
    """The side of the cache that people see; `ExactCache` is the one that calls do."""

    settings: CacheSettings
    store: Store
    shelf: Shelf
    watch: Watch
    _margin: Margin | None

    def audit(self, *, tenant: str, limit: int | None = 20) -> Audit:
        """Return the hits of a tenant on other texts, and what was judged of them."""
        return audit_of(self.store, tenant, limit, self.settings.target)

    def judge(self, twin_id: int, *, right: bool, tenant: str) -> bool:
        """Write down whether a hit on another text was right; False when there is no such hit.

        A tier whose bound on errors per hit that breaks switches itself off.
        """
        return self.watch.judge(tenant, twin_id, right=right)

    def clear(
        self,
        *,
        tenant: str | None = None,
        tag: str | None = None,
        model: str | None = None,
        notebook: str | None = None,
    ) -> int:
        """Delete the answers that have all the given values; all answers without any.

        Other kernels may read meanwhile: they find an answer whole or not at all.

        Args:
            tenant: Whose answers.
            tag: See `caching`.
            model: The model's full name, ``provider/model``.
            notebook: The notebook whose call brought the answer.

        Returns:
            How many answers were deleted.

        Raises:
            StoreError: The place of the answers cannot be used.
        """
        selection = Selection(tenant, tag, model, notebook)
        removed = self.shelf.direct(self.shelf.backend.clear, selection)
        with self.store.transaction() as tx:
            hit_rows.forget(tx, tenant=tenant, tag=tag, model=model, notebook=notebook)
            margin_rows.revise(tx, tenant)
        return removed

    def stats(self, *, tenant: str | None = None, since: float = 0.0) -> stats.CacheStats:
        """Return what the cache holds and what it has saved.

        Args:
            tenant: Count the calls of one tenant only. Entries and bytes are always those of all.
            since: Count from this time on, in seconds since the epoch.

        Raises:
            StoreError: Record or Redis server cannot be used.
        """
        entries, size = self.shelf.direct(self.shelf.backend.measure, self.shelf.now())
        totals = cache_rows.totals(self.store, tenant, int(since * _MICRO))
        return stats.summed(entries, size, totals)

    def warnings(self) -> list[str]:
        """Return why calls go on uncached, if they do, and what has switched itself off."""
        said = [self.shelf.warned] if self.shelf.warned else []
        if self._margin is not None and self._margin.off:
            said.append(f"The margin tier cannot be used: {self._margin.off}")
        return said

    def broken(self, tenant: str) -> list[str]:
        """Return a sentence for every kind of tier that has switched itself off for a tenant."""
        return [off_sentence(name) for name in sorted({r.tier for r in self.watch.broken(tenant)})]
