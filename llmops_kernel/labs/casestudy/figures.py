"""The figures of a play, and how they compare with the day as it was before."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.labs.casestudy.shapley import coalitions, shapley

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmops_kernel.judge.stats.intervals import Interval
    from llmops_kernel.labs.casestudy.play import Served

MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Figures:
    """One day.

    Attributes:
        requests: How many.
        usd: What it cost, in simulated dollars.
        hits: Share of requests that the cache served, by tier.
        small: Share of the calls to models that are paid by the token that the small one answered.
        own: Share of requests that a model of one's own answered.
        wrong_hits: Hits served with the answer to a question that has another answer.
        p50_s: Median seconds until an answer.
        p95_s: 95th percentile of the seconds.
        mean_s: Mean seconds.
        hit_p50_s: Median seconds of a hit, in this process.
        hit_cpu_p50_s: Median CPU seconds of a hit.
        prompt_tokens: Mean tokens of a prompt that was sent.
        told: Share of answers with all key facts.
        reachable: Share of answers written from a prompt with all key facts.
    """

    requests: int
    usd: float
    hits: Mapping[str, float]
    small: float
    own: float
    wrong_hits: int
    p50_s: float
    p95_s: float
    mean_s: float
    hit_p50_s: float | None
    hit_cpu_p50_s: float | None
    prompt_tokens: float
    told: float
    reachable: float

    @property
    def hit_rate(self) -> float:
        """Share of requests that the cache served."""
        return sum(self.hits.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return asdict(self) | {"hit_rate": self.hit_rate}


def figures(served: Sequence[Served], answers: Mapping[str, str]) -> Figures:
    """Return the figures of a play.

    Args:
        served: The requests.
        answers: What is the right answer, by question: two questions with one answer may serve
            each other.
    """
    total = len(served)
    tiers = Counter(each.tier for each in served if each.hit)
    sent = [each for each in served if not each.hit and not each.own]
    hits = [each for each in served if each.hit]
    seconds = [each.latency_s for each in served]
    return Figures(
        requests=total,
        usd=sum(each.cost_nano for each in served) / 1e9,
        hits={tier: count / total for tier, count in sorted(tiers.items())},
        small=sum("mini" in each.model for each in sent) / max(len(sent), 1),
        own=sum(each.own and not each.hit for each in served) / total,
        wrong_hits=sum(answers[each.source] != answers[each.request.question_id] for each in hits),
        p50_s=percentile(seconds, 0.5),
        p95_s=percentile(seconds, 0.95),
        mean_s=sum(seconds) / total,
        hit_p50_s=percentile([each.latency_s for each in hits], 0.5) if hits else None,
        hit_cpu_p50_s=percentile([each.cpu_s for each in hits], 0.5) if hits else None,
        prompt_tokens=sum(each.prompt_tokens for each in sent) / max(len(sent), 1),
        told=sum(each.told for each in served) / total,
        reachable=sum(each.reachable for each in served) / total,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def difference(
    before: Sequence[Served], after: Sequence[Served], what: Callable[[Served], bool]
) -> Interval:
    """Return the change of a share with its 95 % interval, over the same requests in pairs.

    Requests about one question are one cluster: they succeed and fail together.
    """
    from llmops_kernel.judge.stats.paired import paired_difference

    return paired_difference(
        [float(what(each)) for each in after],
        [float(what(each)) for each in before],
        clusters=[each.request.question_id for each in after],
    )


def non_inferior(interval: Interval, margin: float = MARGIN) -> str:
    """Return "non-inferior", "worse" or "inconclusive" for a change of quality."""
    if interval.low > -margin:
        return "non-inferior"
    return "worse" if interval.high < -margin else "inconclusive"


def waterfall(levers: Sequence[str], cost: Mapping[frozenset[str], float]) -> dict[str, float]:
    """Return what each lever saves of the cost without any, as Shapley values."""
    none: frozenset[str] = frozenset()
    saved = {each: cost[none] - cost[each] for each in coalitions(levers)}
    return shapley(levers, saved)
