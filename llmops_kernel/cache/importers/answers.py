"""Keeping another cache's answers behind keys of ours.

A key needs everything that affected the answer. A person who knows that a store was filled by one
model, with one system text and at temperature 0, can say so; the rows are then kept as what the
model would be asked by a single question. What depends on who asks or when is left out all the
same, and the age that an answer has counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmops_kernel.cache.entry import Entry
from llmops_kernel.cache.options import caching
from llmops_kernel.cache.semantic.eligibility import eligible_text
from llmops_kernel.calls import Outcome, Reply
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmops_kernel.cache.exact import ExactCache
    from llmops_kernel.cache.importers.gptcache import Stored
    from llmops_kernel.calls import CallContext, ChatRequest
    from llmops_kernel.calls.catalog import Target

TAG = "import:gptcache"
"""Every imported answer has this tag, so that all of them can be deleted together."""

_DAY_S = 86_400.0


@dataclass(slots=True)
class Imported:
    """What became of the rows.

    Attributes:
        kept: Answers that are served from now on.
        skipped: Rows that were not kept, by reason.
    """

    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


async def keep(
    rows: Iterable[Stored],
    cache: ExactCache,
    target: Target,
    context: CallContext,
    ask: Callable[[str], ChatRequest],
    *,
    max_age_days: float | None = None,
    dry: bool = False,
) -> Imported:
    """Keep answers; one that the cache holds already stays as it is.

    Args:
        rows: What was read.
        cache: Where they go.
        target: The model they are answers of.
        context: Whose they are; the tenant counts.
        ask: Makes the request that a question is answered for.
        max_age_days: How old an answer may be (default: what the cache's ``ttl_s`` allows).
        dry: Only count what would be kept.

    Raises:
        UsageProblem: The age is not above 0, or the cache would serve no such request.
    """
    if max_age_days is not None and not max_age_days > 0:
        raise UsageProblem("An answer's age in days must be above 0")
    bound = cache.settings.ttl_s
    limit = bound if max_age_days is None else max_age_days * _DAY_S
    done = Imported()
    for row in rows:
        reason, left = _why_not(row, limit)
        if not reason:
            with caching(tags=[TAG], ttl_s=max(min(bound, left), 1.0)):
                reason = await _keep_one(row, cache, target, context, ask, dry=dry)
        if reason:
            done.skipped[reason] += 1
        else:
            done.kept += 1
    return done


def _why_not(row: Stored, limit: float) -> tuple[str, float]:
    """Return why a row is not kept, and else for how many seconds more it may be served."""
    allowed = eligible_text(row.question)
    if not allowed.ok:
        return allowed.reason, 0.0
    if row.created is None:
        return "it does not say how old it is", 0.0
    left = limit - (datetime.now(UTC) - row.created).total_seconds()
    return ("" if 0 < left <= limit + _DAY_S else "it is too old, or from the future"), left


async def _keep_one(
    row: Stored,
    cache: ExactCache,
    target: Target,
    context: CallContext,
    ask: Callable[[str], ChatRequest],
    *,
    dry: bool,
) -> str:
    lookup = cache.lookup(ask(row.question), target, context)
    if isinstance(lookup, str):
        raise UsageProblem(
            "The cache would not serve these requests", detail=lookup, hint="See %cache stats"
        )
    claim = await cache.enter(lookup)
    if isinstance(claim, Entry):
        return "the cache has an answer"
    if claim is None:
        return "somebody is asking it now"
    if not dry and await cache.put(lookup, _entry(row, target), claim):
        return ""
    await cache.release(claim)
    return "" if dry else "it is too large, or holds a secret"


def _entry(row: Stored, target: Target) -> Entry:
    message = {"role": "assistant", "content": row.answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    created = int(row.created.timestamp()) if row.created else 0
    # What it cost was not kept, so giving it again saves nothing that could be proven.
    reply = Reply(
        f"gptcache-{row.number}", target.model, created, (choice,), provider=target.provider
    )
    return Entry.of(Outcome(reply), None)
