"""The margin tier's mathematics: how clearly a query belongs to one group of cached wordings.

Entries whose answers were judged the same form an answer group. A query's score is its lead (the
cosine to its best entry minus that to the best entry of any *other* group) plus the share its group
has of a soft vote among its nearest neighbours. A plain cosine says how near the best entry is; the
lead says whether anything else is as near, which is what wrong hits are made of. The vote alone
fails where a topic was never cached: every neighbour then agrees on the wrong answer.

Nothing is served until a partition has enough wordings and judged pairs, and the upper bound of its
errors per hit keeps to the target; audits go on from there, and a broken bound ends it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from llmops_kernel.cache.semantic.evidence import Z_95, Evidence, Verdict, trials_needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
    Groups: TypeAlias = NDArray[np.int64]

NEIGHBOURS = 10
SHARPNESS = 20.0
"""The vote weighs an entry by exp(SHARPNESS * cosine)."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Standing:
    """How a query stands to the cached entries.

    Attributes:
        entry: Index of the best entry; -1 in an empty cache.
        group: Its answer group.
        best: Its cosine.
        lead: ``best`` minus the best cosine of another group; 0 where there is no other group,
            because a lead over nothing says nothing.
        vote: The group's share of the soft vote, 0 to 1.
        wordings: How many entries its group has.
    """

    entry: int
    group: int
    best: float
    lead: float
    vote: float
    wordings: int

    @property
    def score(self) -> float:
        """Lead plus vote: what the tier's threshold is compared with."""
        return self.lead + self.vote

    @property
    def figures(self) -> dict[str, float]:
        """Score, lead, vote and cosine by name, for people."""
        return {"score": self.score, "lead": self.lead, "vote": self.vote, "cosine": self.best}


def standing(
    similarities: Floats,
    groups: Groups,
    *,
    neighbours: int = NEIGHBOURS,
    sharpness: float = SHARPNESS,
) -> Standing:
    """Return how a query stands, from its cosine to every entry.

    Args:
        similarities: Cosines, shape (entries,).
        groups: Answer group of each entry, shape (entries,).
        neighbours: How many of the nearest entries vote.
        sharpness: Exponent of the vote, per unit of cosine.

    Raises:
        ValueError: The shapes differ, or a similarity is not finite.
    """
    if similarities.ndim != 1 or similarities.shape != groups.shape:
        raise ValueError("standing needs one similarity and one group per entry")
    if not similarities.size:
        return Standing(-1, -1, 0.0, 0.0, 0.0, 0)
    if not np.isfinite(similarities).all():
        raise ValueError("standing needs finite similarities")
    cosines = similarities.astype(np.float64)
    entry = int(cosines.argmax())
    group = int(groups[entry])
    best = float(cosines[entry])
    same = groups == group
    others = cosines[~same]
    lead = best - float(others.max()) if others.size else 0.0
    count = min(max(neighbours, 1), cosines.size)
    nearest = np.argpartition(-cosines, count - 1)[:count]
    weights = np.exp(sharpness * (cosines[nearest] - best))
    vote = float(weights[same[nearest]].sum() / weights.sum())
    return Standing(entry, group, best, lead, min(vote, 1.0), int(same.sum()))


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged lookup: the score it had, and whether the best entry's answer was right."""

    score: float
    right: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """The lowest score that may be served, and the judged lookups that speak for it."""

    score: float
    evidence: Evidence


def threshold_for(judged: list[Judged], target: float) -> Threshold | None:
    """Return the lowest score above which errors per hit keep to a target; None if none does.

    The bound is Wilson's at 95 %, over all judged lookups at or above the score. It is chosen on
    the lookups it is proven with, which is a little optimistic: audits look on afterwards.

    Raises:
        ValueError: The target is not above 0 and below 1.
    """
    if not 0 < target < 1:
        raise ValueError("threshold_for needs 0 < target < 1")
    if not judged:
        return None
    scores = np.array([one.score for one in judged])
    wrong = np.array([not one.right for one in judged])
    order = np.argsort(-scores, kind="stable")
    scores, errors = scores[order], np.cumsum(wrong[order])
    lasts = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # ties are served together
    for last in lasts[_may_keep(errors[lasts], lasts + 1, target)][::-1]:
        evidence = Evidence(int(last) + 1, int(errors[last]))
        if evidence.interval.high <= target:
            return Threshold(float(scores[last]), evidence)
    return None


def _may_keep(errors: NDArray[Any], hits: NDArray[Any], target: float) -> NDArray[np.bool_]:
    """Tell where Wilson's upper bound is at most a target, or a rounding above it."""
    square = Z_95 * Z_95
    share = errors / hits
    reach = Z_95 * np.sqrt(share * (1 - share) / hits + square / (4 * hits * hits))
    bounds = (share + square / (2 * hits) + reach) / (1 + square / hits)
    return np.asarray(bounds <= target + _ROUNDING)


class State(StrEnum):
    """Whether the tier serves."""

    NOT_ENOUGH = "not enough evidence"
    UNSAFE = "no threshold keeps to the target"
    ON = "on"
    BROKEN = "switched off: its audited errors passed the target"


class MarginTier:
    """Decides by score, once its partition's evidence allows it.

    Args:
        target: Bound on errors per hit.
        min_judged: Judged lookups before a threshold is looked for.
        min_wordings: Entries an answer group must have to be served from.
        audit_share: Share of hits to be judged again.

    Raises:
        ValueError: A share is not above 0 and below 1, or a count is not positive.
    """

    name = "margin"

    def __init__(
        self,
        *,
        target: float = 0.01,
        min_judged: int = 1_000,
        min_wordings: int = 10,
        audit_share: float = 0.05,
    ) -> None:
        if not 0 < target < 1 or not 0 < audit_share <= 1:
            raise ValueError("MarginTier needs 0 < target < 1 and 0 < audit_share <= 1")
        if min_judged < 1 or min_wordings < 1:
            raise ValueError("MarginTier needs positive counts")
        self.target = target
        self.min_judged = min_judged
        self.min_wordings = min_wordings
        self.audit_share = audit_share
        self._judged: list[Judged] = []
        self._threshold: Threshold | None = None
        self._fresh = True  # whether the threshold belongs to what was judged
        self._audits = Evidence()
        self._broken = False

    @property
    def judged(self) -> int:
        """How many lookups were judged since the last start."""
        return len(self._judged)

    @property
    def audits(self) -> Evidence:
        """Hits that were judged again."""
        return self._audits

    @property
    def threshold(self) -> Threshold | None:
        """The score from which it serves; None while no score is safe or known to be."""
        if not self._fresh:
            self._threshold = threshold_for(self._judged, self.target)
            self._fresh = True
        return self._threshold if len(self._judged) >= self.min_judged else None

    @property
    def state(self) -> State:
        """Whether it serves, and if not, why."""
        if self._broken:
            return State.BROKEN
        if len(self._judged) < self.min_judged:
            return State.NOT_ENOUGH
        return State.ON if self.threshold is not None else State.UNSAFE

    @property
    def evidence(self) -> Evidence:
        """The judged lookups above the threshold and the audits, together."""
        threshold = self.threshold
        return self._audits if threshold is None else threshold.evidence + self._audits

    def learn(self, score: float, right: bool) -> None:
        """Take in one judged lookup that was not served.

        Raises:
            ValueError: The score is not finite.
        """
        if not np.isfinite(score):
            raise ValueError("a score is finite")
        self._judged.append(Judged(score, right))
        self._fresh = False

    def serves(self, found: Standing) -> bool:
        """Tell whether the best entry's answer may be served."""
        if self.state is not State.ON or found.entry < 0 or found.wordings < self.min_wordings:
            return False
        threshold = self.threshold
        return threshold is not None and found.lead > 0 and found.score >= threshold.score

    def wants_audit(self, key: str) -> bool:
        """Tell whether a hit should be judged again; the same key has the same answer."""
        drawn = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(drawn, "big") < self.audit_share * 2**64

    def audit(self, right: bool) -> State:
        """Take in one audited hit, and switch the tier off where the bound is broken.

        It is broken when calibration and audits together no longer keep to the target, or when
        the audits alone say so (`Evidence.verdict`).
        """
        self._audits = self._audits.with_hit(right)
        self._broken = self._broken or (not right and self.breaks(self._audits))
        return self.state

    def breaks(self, audits: Evidence) -> bool:
        """Tell whether audited hits break the bound, alone or with the calibration."""
        # Alone: a drift must not hide behind an old calibration.
        if audits.interval.low > self.target:
            return True
        threshold = self.threshold
        if threshold is None or not audits.errors:
            return False
        return (threshold.evidence + audits).verdict(self.target) is Verdict.BROKEN

    def restore(self, audits: Evidence, *, broken: bool) -> None:
        """Take over what was audited before, by this process or another."""
        self._audits = audits
        self._broken = broken

    def restart(self) -> None:
        """Forget everything: the tier is off until it has been calibrated anew."""
        self._judged.clear()
        self._threshold, self._fresh = None, True
        self._audits, self._broken = Evidence(), False

    @property
    def missing(self) -> str:
        """What is still needed before it can serve, as a sentence; empty while it serves."""
        match self.state:
            case State.NOT_ENOUGH:
                wanted = self.min_judged - len(self._judged)
                clean = trials_needed(self.target)
                return f"{wanted} more judged lookups; {clean} hits without an error among them"
            case State.UNSAFE:
                return "a score that parts right from wrong: more wordings per answer"
            case State.BROKEN:
                return "a restart, and a calibration of its own"
            case _:
                return ""
