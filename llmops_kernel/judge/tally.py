"""Scores, put in order by metric and sample."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmops_kernel.judge.scores import Score


@dataclass
class Tally:
    """All scores of one metric.

    Attributes:
        metric: The metric.
        values: Score by sample, where there is one; repeats are averaged.
        unscored: Why there is none, by sample; a sample is in one of the two.
        scores: All of them by sample, in order.
        judges: Who judged.
        fingerprints: What the scores were made with; comparable runs have one, the same.
        repeated: Samples with more than one score that is no repeat.
    """

    metric: str
    values: dict[str, float] = field(default_factory=dict)
    unscored: dict[str, str] = field(default_factory=dict)
    scores: dict[str, list[Score]] = field(default_factory=dict)
    judges: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)
    repeated: list[str] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """The samples that were to be scored."""
        return set(self.scores)

    def only(self, names: Iterable[str]) -> Tally:
        """Return the scores of some samples, in their order."""
        kept = [name for name in names if name in self.scores]
        return Tally(
            self.metric,
            {name: self.values[name] for name in kept if name in self.values},
            {name: self.unscored[name] for name in kept if name in self.unscored},
            {name: self.scores[name] for name in kept},
            {score.judge for name in kept for score in self.scores[name]},
            {score.fingerprint for name in kept for score in self.scores[name]},
            [name for name in self.repeated if name in set(kept)],
        )

    @property
    def reasons(self) -> dict[str, int]:
        """How many samples are unscored, by reason, most frequent first; without abstentions."""
        found = Counter(reason for reason in self.unscored.values() if reason != "abstained")
        return dict(found.most_common())

    @property
    def abstained(self) -> set[str]:
        """The samples whose answer makes no claim."""
        return {name for name, reason in self.unscored.items() if reason == "abstained"}


def tally(scores: Iterable[Score]) -> dict[str, Tally]:
    """Return the scores by metric, in the order in which the metrics occur.

    A sample with repeats has the mean of those that were scored.
    """
    found: dict[str, Tally] = {}
    for score in scores:
        own = found.setdefault(score.metric, Tally(score.metric))
        own.scores.setdefault(score.sample_id, []).append(score)
        own.judges.add(score.judge)
        own.fingerprints.add(score.fingerprint)
    for own in found.values():
        for name, each in own.scores.items():
            if len({score.detail.get("repeat", 0) for score in each}) < len(each):
                own.repeated.append(name)
            values = [score.value for score in each if score.value is not None]
            if values:
                own.values[name] = sum(values) / len(values)
            else:
                own.unscored[name] = each[0].unscored or "error"
    return found
