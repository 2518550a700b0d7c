"""What people ask of the cache: what it would do, has done and holds; and how they clear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cache import stats
from llmops_kernel.cache.backend import Selection
from llmops_kernel.cache.explain import audit_of
from llmops_kernel.cache.semantic.verifiers import Plugged
from llmops_kernel.cache.semantic.watch import off_sentence, restarted_by
from llmops_kernel.store import cache_rows, hit_rows, margin_rows

if TYPE_CHECKING:
    from llmops_kernel.cache.explain import Audit
    from llmops_kernel.cache.semantic.margin_path import Margin
    from llmops_kernel.cache.semantic.strict import PairVerifier
    from llmops_kernel.cache.semantic.verifiers import Verifiers
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
    verifiers: Verifiers
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
            said.append(f"The tiers that need vectors cannot be used: {self._margin.off}")
        return said

    def use_verifier(
        self,
        verifier: PairVerifier | None,
        name: str = "verifier",
        *,
        least_probability: float = 0.95,
        least_cosine: float = 0.8,
        same_signature: bool = False,
    ) -> None:
        """Ask a model of one's own whether a near question's answer will do, in this process.

        It is asked after the near-verbatim tier (and the built-in strict one, where that is on)
        about the three recorded questions nearest to a call's. Numbers, negations, signs, codes
        and names agree then; its hits are drawn, judged and bounded under its own name. It is
        called in a thread of the cache's own; while it fails, it serves nothing.

        Args:
            verifier: Any object with ``probability(cached, query)``; None asks none any more.
            name: Of its tier: small letters, digits and _.
            least_probability: From which probability on an answer is served.
            least_cosine: From which cosine on it is asked.
            same_signature: Whether question word, modal verb, person, times, quantities and
                prepositions must be the same too.

        Raises:
            UsageProblem: It is no verifier, its name cannot be used, or a bound is no share.
        """
        self.verifiers.use(
            None
            if verifier is None
            else Plugged(name, verifier, least_probability, least_cosine, same_signature)
        )

    def broken(self, tenant: str) -> list[str]:
        """Return a sentence for every kind of tier that has switched itself off for a tenant."""
        names = sorted({row.tier for row in self.watch.broken(tenant)})
        return [f"{off_sentence(name)}; {restarted_by(name)}" for name in names]
