"""What the margin tier knows of its partitions, what it would serve, and what it still needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import MARGIN, NEAR
from llmops_kernel.cache.semantic.margin import State
from llmops_kernel.cache.semantic.margin_book import audits_of, counts, new_tier
from llmops_kernel.cache.semantic.watch import BROKEN
from llmops_kernel.errors import UsageProblem
from llmops_kernel.store import hit_rows, margin_rows, neighbour_rows

if TYPE_CHECKING:
    from llmops_kernel.cache.exact import ExactCache
    from llmops_kernel.cache.semantic.evidence import Evidence
    from llmops_kernel.settings import CacheSettings
    from llmops_kernel.store import Store
    from llmops_kernel.store.hit_rows import Count
    from llmops_kernel.store.margin_rows import TierRow

MEMORY, PGVECTOR, NOWHERE = "memory", "pgvector", "nowhere"
_SHORT = 8
_ROOM = "fewer texts, or a PostgreSQL record with the vector extension"
_MIX = "answers need more wordings each, or a judge that knows which say the same"


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One partition of the margin tier.

    Attributes:
        name: The first digits of its key.
        texts: Texts in it.
        groups: Answer groups.
        mature: Those with enough wordings to be served from.
        lookups: Judged lookups, newest 10,000.
        usable: Those of them that could have been served, their score apart.
        right: Usable ones whose nearest answer was right.
        threshold: Score from which it serves; None where no score keeps to the target.
        share: Judged lookups at or above the threshold per judged lookup; None without any.
        evidence: Usable lookups above the threshold, and audited hits.
        audits: The audited hits alone.
        missing: What it still needs, as a sentence; "" while it serves.
        vectors: Where its texts are compared: ``memory``, ``pgvector``, ``pgvector (no index
            yet)``, or ``nowhere`` when there are too many of them.
    """

    name: str
    model: str
    state: str
    texts: int
    groups: int
    mature: int
    lookups: int
    usable: int
    right: int
    threshold: float | None
    share: float | None
    evidence: Evidence
    audits: Evidence
    missing: str
    vectors: str = MEMORY


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is known of a tenant's tiers.

    Attributes:
        target: The bound on errors per hit they are held against.
        on: Whether the margin tier is asked for.
        off: Tiers that have switched themselves off.
    """

    target: float
    on: bool
    off: tuple[str, ...]
    partitions: tuple[PartitionReport, ...]


def tuning_of(cache: ExactCache, tenant: str, target: float | None = None) -> Tuning:
    """Return what is known of a tenant's partitions.

    Args:
        cache: The cache.
        tenant: Whose partitions.
        target: Hold them against this bound in place of the settings' own; nothing is changed.

    Raises:
        UsageProblem: The target is not above 0 and below 1.
    """
    settings = cache.settings
    if target is not None:
        if not 0 < target < 1:
            raise UsageProblem(
                "--target is not a share", detail=f"got {target}", hint="--target 0.01"
            )
        settings = settings.model_copy(update={"target": target})
    store = cache.store
    store.flush()
    rows = margin_rows.tiers(store, tenant)
    counted = hit_rows.counts(store, tenant)
    return Tuning(
        settings.target,
        settings.mode == "exact" and settings.semantic == "margin",
        tuple(sorted({row.tier for row in rows if row.state == BROKEN})),
        tuple(_report(cache, settings, row, counted) for row in rows if row.tier == MARGIN),
    )


def restarted(cache: ExactCache, tenant: str, name: str) -> int:
    """Let a tier begin anew: ``near-verbatim``, ``strict``, ``margin``, or one partition.

    ``margin`` means all its partitions; a person's own verifier is called by its name.

    Returns:
        How many were restarted.

    Raises:
        UsageProblem: There is no such tier or partition, or several begin with the name.
    """
    rows = margin_rows.tiers(cache.store, tenant)
    tier = name.replace("-", "_")
    chosen = [row for row in rows if row.tier == tier]
    if not chosen and tier not in {NEAR, MARGIN, *cache.verifiers.names(strict=True, own=True)}:
        chosen = [row for row in rows if row.tier == MARGIN and row.place.startswith(name)]
        if len(chosen) != 1:
            raise UsageProblem(
                "There is no such partition" if not chosen else "Several partitions begin so",
                detail=name,
                hint="Give near-verbatim, strict, margin, or a name that `%cache tune` lists",
            )
    return sum(cache.watch.restart(tenant, row.tier, row.place) for row in chosen)


def _report(
    cache: ExactCache, settings: CacheSettings, row: TierRow, counted: list[Count]
) -> PartitionReport:
    tier, store = new_tier(settings), cache.store
    lookups = [each for _, each in margin_rows.judged(store, row.place, 0)]
    usable = [each for each in lookups if counts(each, settings)]
    for each in usable:
        tier.learn(each.score, bool(each.verdict))
    audits = audits_of(counted, row.place)
    tier.restore(audits, broken=row.state == BROKEN)
    threshold = tier.threshold
    served = 0 if threshold is None else sum(each.score >= threshold.score for each in usable)
    texts, groups = margin_rows.size(store, row.place)
    mature = margin_rows.mature(store, row.place, settings.min_wordings)
    missing = tier.missing
    if tier.state is State.UNSAFE:
        missing = _MIX
    elif tier.state is State.NOT_ENOUGH and not mature:
        missing = f"{missing}; {settings.min_wordings} wordings of an answer"
    vectors = _vectors(store, row.place, texts, settings.numpy_entries)
    if vectors == NOWHERE:
        missing = _ROOM
    return PartitionReport(
        row.place[:_SHORT],
        row.model,
        str(tier.state),
        texts,
        groups,
        mature,
        len(lookups),
        len(usable),
        sum(bool(each.verdict) for each in usable),
        threshold.score if threshold else None,
        served / len(lookups) if lookups else None,
        tier.evidence,
        audits,
        missing,
        vectors,
    )


def _vectors(store: Store, place: str, texts: int, most: int) -> str:
    if texts <= most:
        return MEMORY
    if not neighbour_rows.is_prepared(store):
        return NOWHERE
    return PGVECTOR if neighbour_rows.is_indexed(store, place) else f"{PGVECTOR} (no index yet)"
