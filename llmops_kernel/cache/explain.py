"""What people ask of the cache: why it would serve a request or not, and what it served as near."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import CANDIDATES, NEAR, compare, first_twin
from llmops_kernel.cache.semantic.watch import BROKEN, restarted_by
from llmops_kernel.store import hit_rows, margin_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.exact import ExactCache
    from llmops_kernel.cache.lookup import Lookup
    from llmops_kernel.cache.near import Question
    from llmops_kernel.cache.semantic.evidence import Evidence
    from llmops_kernel.calls import CallContext, Request
    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.store import Store
    from llmops_kernel.store.cache_rows import EntryRow

_WORD = re.compile(r"\w+")
# Recorded questions among which the one most like a refused one is looked for.
_EXPLAINED = 200


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the cache would do with a request.

    Attributes:
        tier: ``exact``, ``near_verbatim``, ``strict``, the name of a person's own verifier, or
            ``margin``; "" when a model would be called.
        reason: Why, in words.
        question: The recorded question that was served, or that came nearest; "" for none.
        created: When its answer was given, in microseconds since the epoch; 0 for none.
        figures: What the tiers with vectors compared: ``score``, ``lead``, ``vote``, ``cosine``,
            and the ``threshold`` that the margin tier serves from.
    """

    tier: str
    reason: str
    question: str = ""
    created: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit on another text.

    Attributes:
        number: Its number, to judge it by.
        at: Microseconds since the epoch.
        stored: The question that the answer was given to.
        asked: The question it was served for.
        right: Whether somebody judged it right; None if nobody has judged it.
        drawn: Whether it was drawn for an audit.
        judged_by: ``person``, ``offline`` or a model's name; "" if nobody has judged it.
    """

    number: int
    at: int
    model: str
    stored: str
    asked: str
    reason: str
    right: bool | None = None
    tier: str = NEAR
    drawn: bool = False
    judged_by: str = ""


@dataclass(frozen=True, slots=True)
class TierAudit:
    """What was judged of one tier's hits since it was last restarted.

    Attributes:
        evidence: The judged ones, and how many of those were wrong.
        waiting: How many were drawn and are not judged yet.
        off: In how many partitions it has switched itself off.
    """

    tier: str
    hits: int
    evidence: Evidence
    waiting: int
    off: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Hits on other texts, those that wait for a verdict first, then the newest.

    Attributes:
        hits: Those to look at.
        tiers: All hits, by tier.
        target: The bound on errors per hit.
    """

    hits: tuple[Hit, ...]
    tiers: tuple[TierAudit, ...]
    target: float

    @property
    def total(self) -> int:
        """How many hits there are."""
        return sum(each.hits for each in self.tiers)

    @property
    def evidence(self) -> Evidence:
        """The judged hits of all tiers, and how many of them were wrong."""
        from llmops_kernel.cache.semantic.evidence import Evidence

        return sum((each.evidence for each in self.tiers), Evidence())


def explanation(
    cache: ExactCache, request: Request, target: Target, context: CallContext
) -> Explanation:
    """Return what a cache would do with a request now, and why; nothing is used or counted.

    Raises:
        StoreError: The place of the answers cannot be used.
    """
    lookup, shelf = cache.lookup(request, target, context.with_(target=target)), cache.shelf
    if isinstance(lookup, str):
        return Explanation("", lookup)
    row = shelf.direct(shelf.backend.find, lookup.key, shelf.now())
    if row is not None and shelf.opened(row, lookup.tenant, lookup.key):
        return Explanation("exact", "the same request was answered", created=row.created)
    asking = lookup.asking if isinstance(lookup.asking, str) else lookup.asking.question
    if isinstance(asking, str):
        return Explanation("", f"only the same request would do: {asking}")
    refused = _near(cache, lookup, asking)
    if refused.tier or not (lookup.margin or lookup.verifiers):
        return refused
    verdict = cache.margin.explain(asking, lookup)
    figures = {} if verdict.standing is None else verdict.standing.figures
    if verdict.threshold is not None:
        figures["threshold"] = verdict.threshold
    if verdict.twin is not None:
        twin = verdict.twin
        return Explanation(twin.tier, twin.reason, twin.stored, twin.row.created, figures)
    said = [f"the {name.replace('_', '-')} tier: {why}" for name, why in verdict.reasons.items()]
    return replace(refused, reason="; ".join([refused.reason, *said]), figures=figures)


def _near(cache: ExactCache, lookup: Lookup, question: Question) -> Explanation:
    """Return what the near-verbatim tier says of a question."""
    shelf = cache.shelf
    if not lookup.near:
        return Explanation("", "the near-verbatim tier is off")
    if cache.watch.is_off(lookup.tenant, NEAR):
        said = f"the near-verbatim tier has switched itself off ({restarted_by(NEAR)})"
        return Explanation("", said)
    rows = shelf.direct(shelf.backend.twins, question.near, shelf.now(), CANDIDATES)
    twin = first_twin(question, shelf.whole(rows, lookup.tenant))
    if twin is not None:
        return Explanation(twin.tier, twin.reason, twin.stored, twin.row.created)
    place = question.near._replace(signs=())
    others = shelf.direct(shelf.backend.twins, place, shelf.now(), _EXPLAINED)
    return nearest_refused(question, shelf.whole(others, lookup.tenant))


def nearest_refused(question: Question, found: Iterable[tuple[EntryRow, Entry]]) -> Explanation:
    """Explain why none of the recorded questions serves this one, by the one most like it."""
    words = _words(question.asked.text)
    best: tuple[float, EntryRow, Entry] | None = None
    for row, entry in found:
        asked = entry.asked()
        if asked is None or asked.place != question.asked.place:
            continue
        theirs = _words(asked.text)
        alike = len(words & theirs) / (len(words | theirs) or 1)
        if alike > (best[0] if best else 0.0):
            best = (alike, row, entry)
    said = compare(question, best[2]) if best else None
    if best is None or said is None:
        return Explanation("", "no question like it was answered under the same conditions")
    same, reason, text = said
    if same:  # it stood behind the few that a call compares
        reason = "too many questions of this form were recorded since"
    return Explanation("", f"the nearest recorded question will not do: {reason}", text)


def audit_of(store: Store, tenant: str, limit: int | None, target: float) -> Audit:
    """Return the hits of a tenant on other texts."""
    from llmops_kernel.cache.semantic.evidence import Evidence

    store.flush()
    hits = tuple(
        Hit(
            number,
            row.at,
            row.model,
            row.stored,
            row.asked,
            row.reason,
            None if row.verdict is None else bool(row.verdict),
            row.tier,
            bool(row.drawn),
            row.judged_by,
        )
        for number, row in hit_rows.hits(store, tenant, limit)
    )
    counted = hit_rows.counts(store, tenant)
    off = [row.tier for row in margin_rows.tiers(store, tenant) if row.state == BROKEN]
    tiers = []
    for name in sorted({NEAR, *off, *(each.tier for each in counted)}, reverse=True):
        some = [each for each in counted if each.tier == name]
        judged, wrong = sum(each.judged for each in some), sum(each.wrong for each in some)
        tiers.append(
            TierAudit(
                name,
                sum(each.hits for each in some),
                Evidence(judged, wrong),
                sum(each.waiting for each in some),
                off.count(name),
            )
        )
    return Audit(hits, tuple(tiers), target)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
