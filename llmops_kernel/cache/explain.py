"""What people ask of the cache: why it would serve a request or not, and what it served as near."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.cache.near import compare
from llmops_kernel.store import near_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.near import Question
    from llmops_kernel.cache.semantic.evidence import Evidence
    from llmops_kernel.store import Store
    from llmops_kernel.store.cache_rows import EntryRow

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the cache would do with a request.

    Attributes:
        tier: ``exact`` or ``near_verbatim``; "" when a model would be called.
        reason: Why, in words.
        question: The recorded question that was served, or that came nearest; "" for none.
        created: When its answer was given, in microseconds since the epoch; 0 for none.
    """

    tier: str
    reason: str
    question: str = ""
    created: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """One near-verbatim hit.

    Attributes:
        number: Its number, to judge it by.
        at: Microseconds since the epoch.
        stored: The question that the answer was given to.
        asked: The question it was served for.
        right: Whether somebody judged it right; None if nobody has judged it.
    """

    number: int
    at: int
    model: str
    stored: str
    asked: str
    reason: str
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Near-verbatim hits, newest first, and what people said of them.

    Attributes:
        hits: Those to look at.
        total: How many there are in all.
        evidence: The judged ones of all, and how many of those were wrong.
    """

    hits: tuple[Hit, ...]
    total: int
    evidence: Evidence


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


def audit_of(store: Store, tenant: str, limit: int | None) -> Audit:
    """Return the near-verbatim hits of a tenant."""
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
        )
        for number, row in near_rows.twins(store, tenant, limit)
    )
    total, judged, wrong = near_rows.verdicts(store, tenant)
    return Audit(hits, total, Evidence(judged, wrong))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
