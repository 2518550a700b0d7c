"""The exact cache: answers by key, sealed, and never a reason for a call to fail."""

from __future__ import annotations

import json
import logging
import secrets
import time
import uuid
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from llmops_kernel.cache import stats
from llmops_kernel.cache.backend import CacheDown, Limits, Selection
from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.explain import Explanation, audit_of, nearest_refused
from llmops_kernel.cache.key import facts_of
from llmops_kernel.cache.near import Asking, first_twin
from llmops_kernel.cache.options import current_options
from llmops_kernel.cache.policy import why_not, why_not_near
from llmops_kernel.cache.record import RecordBackend
from llmops_kernel.cache.seal import Seal, secret_in
from llmops_kernel.errors import StoreError
from llmops_kernel.settings import data_home
from llmops_kernel.store import cache_rows, near_rows
from llmops_kernel.store.cache_rows import EntryRow, EventRow, FlightRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmops_kernel.cache.backend import Backend
    from llmops_kernel.cache.explain import Audit
    from llmops_kernel.cache.near import Question, Twin
    from llmops_kernel.calls import CallContext, Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Lease, Store

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_MICRO = 1_000_000
# How long calls go on uncached before a place that failed is tried again.
_PAUSE_S = 30.0
# Near questions that are compared for a call, and for an explanation of why none serves.
_CANDIDATES, _EXPLAINED = 5, 200


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request as the cache sees it: its key, and what its answer would be kept under.

    Attributes:
        asking: Its question, read when first needed; or why only the same request may answer it.
    """

    key: str
    tenant: str
    model: str
    context: CallContext
    tags: tuple[str, ...]
    ttl_s: float
    asking: Asking | str = field(compare=False)

    @property
    def question(self) -> Question | None:
        """The question, if what was answered to a near one may serve it."""
        asking = self.asking if isinstance(self.asking, str) else self.asking.question
        return None if isinstance(asking, str) else asking


@dataclass(frozen=True, slots=True)
class Claim:
    """This process has taken a request on."""

    key: str
    claim_id: str


class ExactCache:
    """Answers to repeated requests.

    It fails open: where its place cannot be used, calls go on uncached, with one warning.

    Args:
        settings: What is cached, where and for how long.
        store: The record: keeps the answers, if no Redis server does, and what was saved.
        lease: This process.
        variable: Returns a variable's value, for the team's secret.
        redact: Takes secrets out of a text; an answer that holds one is not kept.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.lease = lease
        self._store = store
        self._variable = variable
        self._redact = redact
        self._clock = clock
        self._seal: Seal | None = None
        self._lock = Lock()
        self._down_until = 0.0
        self._warned = ""
        limits = Limits(settings.max_entries, settings.max_bytes)
        self._backend: Backend
        if settings.url:
            from llmops_kernel.cache.redis_server import RedisBackend

            self._backend = RedisBackend(settings.url, limits)
        else:
            self._backend = RecordBackend(store, lease.lease_id, limits)

    # ---- the path of a call -------------------------------------------------------------------

    def lookup(self, request: Request, target: Target, context: CallContext) -> Lookup | str:
        """Return what to look for; or, in words, why the request must be sent."""
        options = current_options()
        reason = why_not(request, target, context, self.settings, options)
        if reason:
            return reason
        try:
            facts = facts_of(request, target, tenant=context.tenant, salt=self.settings.salt)
            key = self._sealer().key(facts)
        except (TypeError, ValueError):  # lone surrogates among them
            return "the request is no plain JSON"
        ttl_s = min(self.settings.ttl_s, options.ttl_s or self.settings.ttl_s)
        return Lookup(
            key, context.tenant, target.name, context, options.tags, ttl_s,
            asking=self._asking(request, target, context),
        )  # fmt: skip

    def _asking(self, request: Request, target: Target, context: CallContext) -> Asking | str:
        return why_not_near(request, target, self.settings, current_options()) or Asking(
            request,
            target,
            tenant=context.tenant,
            salt=self.settings.salt,
            seal=self._sealer(),
            redact=self._redact,
        )

    async def enter(self, lookup: Lookup) -> Entry | Claim | None:
        """Return the answer, or take the request on; None when somebody else has.

        Where the cache is down, everybody takes everything on.
        """
        claim_id = uuid.uuid4().hex
        expires = self._now() + int(self.settings.wait_s * _MICRO)
        flight = FlightRow(claim_id, self.lease, expires)
        for _ in range(2):
            found = await self._try(self._backend.enter, lookup.key, flight, self._now())
            if found == "held":
                return None
            if not isinstance(found, EntryRow):
                break
            entry = self._opened(found, lookup.tenant, lookup.key)
            if entry is not None:
                return entry
            # Edited, damaged or of another version: as if it had never been there.
            await self._try(self._backend.remove, found)
            self.note("tampered", lookup)
        return Claim(lookup.key, claim_id)

    async def twin(self, lookup: Lookup) -> Twin | None:
        """Return an answer to the same question in other manners, if there is one."""
        question = lookup.question
        if question is None:
            return None
        rows = await self._try(self._backend.twins, question.near, self._now(), _CANDIDATES)
        twin = first_twin(question, self._whole(rows or (), lookup.tenant))
        if twin is not None:
            await self._try(self._backend.touch, twin.row.entry_key, self._now())
        return twin

    async def put(self, lookup: Lookup, entry: Entry, claim: Claim | None) -> bool:
        """Keep an answer and give its claim back.

        False, and neither, when it is too large, holds a secret, or the cache is down.
        """
        at = self._now()
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
        evicted = await self._try(self._backend.put, self._sealer().sealed(row), at, claim_id, near)
        if evicted:
            self.note("evicted", lookup, count=evicted)
        return evicted is not None

    async def release(self, claim: Claim) -> None:
        """Let others take a request on."""
        await self._try(self._backend.release, claim.key, claim.claim_id)

    def note(
        self,
        kind: Literal["hit", "miss", "tampered", "evicted"],
        lookup: Lookup,
        *,
        tier: str = "",
        entry: Entry | None = None,
        count: int = 1,
    ) -> None:
        """Write down what the cache did; the row goes along with the next transaction."""
        context = lookup.context
        event = EventRow(
            self._now(),
            kind,
            tier,
            lookup.key,
            lookup.tenant,
            lookup.model,
            entry.book if entry else "",
            context.user,
            context.notebook,
            context.run_id,
            context.call_id,
            count,
            entry.saved_nano if entry else 0,
        )
        try:
            self._store.defer(cache_rows.APPEND, event)
        except StoreError as error:
            _log.warning("The record is not up to date: %s", error)

    def note_twin(self, lookup: Lookup, twin: Twin) -> None:
        """Write both texts of a near-verbatim hit down, for people to judge."""
        row = twin.row
        hit = near_rows.TwinRow(
            self._now(),
            lookup.context.call_id,
            row.entry_key,
            row.tenant,
            row.model,
            row.notebook,
            row.tags,
            twin.stored,
            twin.asked,
            twin.reason,
        )
        try:
            self._store.defer(near_rows.APPEND, hit)
            self._store.defer(near_rows.TRIM, ())
        except StoreError as error:
            _log.warning("The record is not up to date: %s", error)

    # ---- for people ---------------------------------------------------------------------------

    def explain(self, request: Request, target: Target, context: CallContext) -> Explanation:
        """Return what the cache would do with a request now, and why; nothing is used or counted.

        Raises:
            StoreError: The place of the answers cannot be used.
        """
        lookup = self.lookup(request, target, context.with_(target=target))
        if isinstance(lookup, str):
            return Explanation("", lookup)
        try:
            row = self._backend.find(lookup.key, self._now())
            if row is not None and self._opened(row, lookup.tenant, lookup.key):
                return Explanation("exact", "the same request was answered", created=row.created)
            asking = lookup.asking if isinstance(lookup.asking, str) else lookup.asking.question
            if isinstance(asking, str):
                return Explanation("", f"only the same request would do: {asking}")
            rows = self._backend.twins(asking.near, self._now(), _CANDIDATES)
            twin = first_twin(asking, self._whole(rows, lookup.tenant))
            if twin is not None:
                return Explanation("near_verbatim", twin.reason, twin.stored, twin.row.created)
            place = asking.near._replace(signs=())
            others = self._backend.twins(place, self._now(), _EXPLAINED)
        except CacheDown as error:
            raise _unusable(error) from error
        return nearest_refused(asking, self._whole(others, lookup.tenant))

    def audit(self, *, tenant: str, limit: int | None = 20) -> Audit:
        """Return the near-verbatim hits of a tenant, newest first, and what was judged of them."""
        return audit_of(self._store, tenant, limit)

    def judge(self, twin_id: int, *, right: bool, tenant: str) -> bool:
        """Write down whether a near-verbatim hit was right; False when there is no such hit."""
        with self._store.transaction() as tx:
            return near_rows.judge(tx, tenant, twin_id, int(right))

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
        try:
            removed = self._backend.clear(Selection(tenant, tag, model, notebook))
        except CacheDown as error:
            raise _unusable(error) from error
        with self._store.transaction() as tx:
            near_rows.forget(tx, tenant=tenant, tag=tag, model=model, notebook=notebook)
        return removed

    def stats(self, *, tenant: str | None = None, since: float = 0.0) -> stats.CacheStats:
        """Return what the cache holds and what it has saved.

        Args:
            tenant: Count the calls of one tenant only. Entries and bytes are always those of all.
            since: Count from this time on, in seconds since the epoch.

        Raises:
            StoreError: Record or Redis server cannot be used.
        """
        try:
            entries, size = self._backend.measure(self._now())
        except CacheDown as error:
            raise _unusable(error) from error
        totals = cache_rows.totals(self._store, tenant, int(since * _MICRO))
        return stats.summed(entries, size, totals)

    def warnings(self) -> list[str]:
        """Return why calls go on uncached, if they do."""
        return [self._warned] if self._warned else []

    def close(self) -> None:
        """Give back what this process has taken on, so that others need not wait."""
        try:
            self._backend.close()
        except CacheDown as error:
            _log.debug("The cache was not closed in order: %s", error)

    # ---- inside -------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._clock() * _MICRO)

    async def _try(self, work: Callable[..., _T], *arguments: Any) -> _T | None:
        """Do something with the back end; None when it is down."""
        if time.monotonic() < self._down_until:
            return None
        try:
            done = await self._backend.arun(work, *arguments)
        except CacheDown as error:
            self._down_until = time.monotonic() + _PAUSE_S
            if not self._warned:
                self._warned = f"Answers are not cached now: {error}"
                _log.warning(self._warned)
            return None
        self._warned = ""
        return done

    def _whole(self, rows: Iterable[EntryRow], tenant: str) -> Iterator[tuple[EntryRow, Entry]]:
        """Yield the rows that may be served to a tenant, opened.

        Others are left for whoever asks for them by their own key, who removes and counts them.
        """
        for row in rows:
            entry = self._opened(row, tenant, row.entry_key)
            if entry is not None:
                yield row, entry

    def _opened(self, row: EntryRow, tenant: str, key: str) -> Entry | None:
        """Return the entry of a row, if it is as it was sealed, and for this tenant and key."""
        if row.entry_key != key or row.tenant != tenant:
            return None
        if row.expires <= self._now() or not self._sealer().fits(row):
            return None
        entry = Entry(row.payload, row.saved_nano, row.book)
        try:
            entry.reply()
        except (KeyError, TypeError, ValueError):
            return None
        return entry

    def _sealer(self) -> Seal:
        with self._lock:
            if self._seal is None:
                self._seal = Seal(self._secret())
            return self._seal

    def _secret(self) -> bytes:
        name = self.settings.secret_env
        if name and (value := self._variable(name)):
            return value.encode()
        path = getattr(self._store, "path", None)
        if path is None or self.settings.url:
            path = data_home() / "cache.key"
        else:
            path = path.with_name(f"{path.name}.key")
        try:
            return secret_in(path)
        except OSError as error:
            _log.warning("Answers are cached for this process only: %s", error)
            return secrets.token_bytes(32)


def _unusable(error: CacheDown) -> StoreError:
    return StoreError(
        "The cache cannot be used now", detail=str(error), hint="Calls go on uncached"
    )
