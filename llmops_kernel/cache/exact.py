"""The exact cache: answers by key, sealed, and never a reason for a call to fail."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

from llmops_kernel.cache.desk import Desk
from llmops_kernel.cache.explain import explanation
from llmops_kernel.cache.key import facts_of
from llmops_kernel.cache.lookup import Claim, Lookup
from llmops_kernel.cache.near import CANDIDATES, NEAR, Asking, first_twin
from llmops_kernel.cache.notes import Notes
from llmops_kernel.cache.options import current_options
from llmops_kernel.cache.policy import is_margin, is_near, is_strict, why_not, why_not_near
from llmops_kernel.cache.semantic.background import Background
from llmops_kernel.cache.semantic.judging import Comparer
from llmops_kernel.cache.semantic.verifiers import Verifiers
from llmops_kernel.cache.semantic.watch import Watch
from llmops_kernel.cache.shelf import Shelf
from llmops_kernel.store.cache_rows import EntryRow, FlightRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.explain import Explanation
    from llmops_kernel.cache.near import Twin
    from llmops_kernel.cache.semantic.background import Door
    from llmops_kernel.cache.semantic.embedding import LateEmbedder
    from llmops_kernel.cache.semantic.margin_path import Margin, Seen
    from llmops_kernel.calls import CallContext, Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Lease, Store

__all__ = ["Claim", "ExactCache", "Lookup"]

_MICRO = 1_000_000


class ExactCache(Desk):
    """Answers to repeated requests.

    It fails open: where its place cannot be used, calls go on uncached, with one warning.

    Args:
        settings: What is cached, where and for how long.
        store: The record: keeps the answers, if no Redis server does, and what was saved.
        lease: This process.
        variable: Returns a variable's value, for the team's secret.
        redact: Takes secrets out of a text; an answer that holds one is not kept.
        embedder: Turns texts into vectors, for the margin tier.
        door: The way to models, for audits and judges.
        clock: Seconds since the epoch; for tests.

    Raises:
        MissingExtra: The answers are to lie on a Redis server, and its package is missing.
        SettingsError: The cache's URL cannot be used.
    """

    def __init__(
        self,
        settings: CacheSettings,
        store: Store,
        lease: Lease,
        *,
        variable: Callable[[str], str | None] = lambda _: None,
        redact: Callable[[str], str] = str,
        embedder: LateEmbedder | None = None,
        door: Door | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.lease = lease
        self.shelf = Shelf(settings, store, lease, variable=variable, clock=clock)
        self.notes = Notes(store, self.shelf.now)
        self.store = store
        self._redact = redact
        self._embedder = embedder
        self.verifiers = Verifiers(embedder)
        self._margin: Margin | None = None
        self._background = Background(door, store, lambda: self.settings, self.shelf.now)
        self.comparer = Comparer(self._background, lambda: self.settings)
        self.watch = Watch(
            store, lambda: self.settings, self._background, self.comparer, self.shelf.now
        )

    @property
    def margin(self) -> Margin:
        """The tiers that need vectors; numpy is imported with them."""
        if self._margin is None:
            from llmops_kernel.cache.semantic.margin_path import Margin

            self._margin = Margin(
                self.store, self.shelf, lambda: self.settings, self._embedder, self.comparer,
                self.verifiers, self.watch.is_off,
            )  # fmt: skip
        return self._margin

    def configure(self, **changes: object) -> None:
        """Change what is served from now on, in this process: fields of the settings by name."""
        self.settings = self.settings.model_copy(update=changes)

    # ---- the path of a call -------------------------------------------------------------------

    def lookup(self, request: Request, target: Target, context: CallContext) -> Lookup | str:
        """Return what to look for; or, in words, why the request must be sent."""
        options, settings = current_options(), self.settings
        reason = why_not(request, target, context, self.settings, options)
        if reason:
            return reason
        try:
            facts = facts_of(request, target, tenant=context.tenant, salt=self.settings.salt)
            key = self.shelf.sealer().key(facts)
        except (TypeError, ValueError):  # lone surrogates among them
            return "the request is no plain JSON"
        ttl_s = min(self.settings.ttl_s, options.ttl_s or self.settings.ttl_s)
        return Lookup(
            key, context.tenant, target.name, context, options.tags, ttl_s,
            asking=self._asking(request, target, context),
            near=is_near(settings, options),
            margin=is_margin(settings, options),
            verifiers=self._verifying(),
        )  # fmt: skip

    def _verifying(self) -> tuple[str, ...]:
        options = current_options()
        strict = is_strict(self.settings, options)
        return self.verifiers.names(strict=strict, own=options.strict is not False)

    def _asking(self, request: Request, target: Target, context: CallContext) -> Asking | str:
        settings, verifiers = self.settings, self._verifying()
        return why_not_near(
            request, target, context, settings, current_options(), verifiers
        ) or Asking(
            request,
            target,
            tenant=context.tenant,
            salt=settings.salt,
            seal=self.shelf.sealer(),
            redact=self._redact,
        )

    async def enter(self, lookup: Lookup) -> Entry | Claim | None:
        """Return the answer, or take the request on; None when somebody else has.

        Where the cache is down, everybody takes everything on.
        """
        claim_id = uuid.uuid4().hex
        expires = self.shelf.now() + int(self.settings.wait_s * _MICRO)
        flight = FlightRow(claim_id, self.lease, expires)
        for _ in range(2):
            found = await self.shelf.attempt(
                self.shelf.backend.enter, lookup.key, flight, self.shelf.now()
            )
            if found == "held":
                return None
            if not isinstance(found, EntryRow):
                break
            entry = self.shelf.opened(found, lookup.tenant, lookup.key)
            if entry is not None:
                return entry
            # Edited, damaged or of another version: as if it had never been there.
            await self.shelf.attempt(self.shelf.backend.remove, found)
            self.notes.write(self.notes.row("tampered", lookup))
        return Claim(lookup.key, claim_id)

    async def twin(self, lookup: Lookup) -> Twin | None:
        """Return an answer to the same question in other manners, if there is one."""
        question = lookup.question if lookup.near else None
        if question is None:
            return None
        rows = await self.shelf.attempt(
            self.shelf.backend.twins, question.near, self.shelf.now(), CANDIDATES
        )
        twin = first_twin(question, self.shelf.whole(rows or (), lookup.tenant))
        if twin is None or await self.store.arun(self.watch.is_off, lookup.tenant, NEAR):
            return None
        await self.shelf.attempt(self.shelf.backend.touch, twin.row.entry_key, self.shelf.now())
        return twin

    async def reworded(self, lookup: Lookup) -> tuple[Twin | None, Seen | None]:
        """Return an answer to the same question in other words, and what was seen on the way."""
        question = lookup.question if lookup.margin or lookup.verifiers else None
        if question is None or self.shelf.is_down:
            return None, None
        twin, seen = await self.margin.look(lookup, question)
        if twin is not None:
            await self.shelf.attempt(self.shelf.backend.touch, twin.row.entry_key, self.shelf.now())
        return twin, seen

    def learn(self, lookup: Lookup, entry: Entry, seen: Seen | None) -> None:
        """Take an answer that was kept in among those that other questions may be near to."""
        if (lookup.margin or lookup.verifiers) and lookup.question is not None:
            self.margin.learn_soon(lookup, entry, seen)

    async def put(self, lookup: Lookup, entry: Entry, claim: Claim | None) -> bool:
        """Keep an answer and give its claim back.

        False, and neither, when it is too large, holds a secret, or the cache is down.
        """
        at = self.shelf.now()
        question = lookup.question
        if question is not None:
            entry = entry.with_asked(question.asked)
        row = EntryRow(
            entry_key=lookup.key,
            tenant=lookup.tenant,
            model=lookup.model,
            notebook=lookup.context.notebook,
            book=entry.book,
            tags=json.dumps(lookup.tags),
            created=at,
            expires=at + int(lookup.ttl_s * _MICRO),
            saved_nano=entry.saved_nano,
            mac="",
            payload=entry.payload,
        )
        claim_id = claim.claim_id if claim else ""
        if row.size > self.settings.max_entry_bytes or self._redact(row.payload) != row.payload:
            return False
        near = question.near if question else None
        row = self.shelf.sealer().sealed(row)
        if self.shelf.is_down:
            return False
        evicted = self.notes.row("evicted", lookup)
        if self.shelf.backend.put_soon(row, at, claim_id, near, evicted):
            return True
        gone = await self.shelf.attempt(self.shelf.backend.put, row, at, claim_id, near)
        if gone:
            self.notes.write(evicted._replace(times=gone))
        return gone is not None

    async def release(self, claim: Claim) -> None:
        """Let others take a request on."""
        await self.shelf.attempt(self.shelf.backend.release, claim.key, claim.claim_id)

    def release_soon(self, claim: Claim) -> bool:
        """Let others take a request on with the next transaction; False where there is none."""
        return self.shelf.backend.release_soon(claim.key, claim.claim_id)

    def explain(self, request: Request, target: Target, context: CallContext) -> Explanation:
        """Return what the cache would do with a request now, and why; nothing is used or counted.

        Raises:
            StoreError: The place of the answers cannot be used.
        """
        return explanation(self, request, target, context)

    def finish(self) -> None:
        """Wait until what was kept has been learnt from; judges excepted."""
        if self._margin is not None:
            self._margin.finish()

    async def stop_asking(self) -> None:
        """Give up audits and judges that are on their way, on their loop, and begin no more.

        For who is about to close the connections that they would open anew.
        """
        self._background.stopped = True
        await self.watch.stop()
        if self._margin is not None:
            await self._margin.learner.stop()

    def close(self) -> None:
        """Give back what this process has taken on, so that others need not wait."""
        if self._margin is not None:
            self._margin.close()
        self.shelf.close()
