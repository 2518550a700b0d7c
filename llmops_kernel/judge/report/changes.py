"""The answers whose scores changed most between two runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.judge.plain import members
from llmops_kernel.judge.tally import Tally, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

LISTED = 10  # for each metric
_TEXT = 1_800  # characters of a question, answer or reason


@dataclass(frozen=True, slots=True)
class Change:
    """One answer that is scored otherwise than before.

    Attributes:
        metric: The metric.
        id: The sample.
        before: Its score in the baseline.
        after: Its score now.
        user_input: The question; "" where no data set was given.
        answer_before: The baseline's answer; "" where its data set was not given.
        answer_after: The answer now.
        reason_before: The judge's words about the baseline's answer.
        reason_after: The judge's words about the answer now.
    """

    metric: str
    id: str
    before: float
    after: float
    user_input: str = ""
    answer_before: str = ""
    answer_after: str = ""
    reason_before: str = ""
    reason_after: str = ""

    @property
    def difference(self) -> float:
        """The score now less the one before."""
        return self.after - self.before

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return members(self) | {"difference": self.difference}


def changes_of(
    current: Iterable[Score],
    baseline: Iterable[Score],
    samples: Iterable[Sample] = (),
    baseline_samples: Iterable[Sample] = (),
    *,
    listed: int = LISTED,
) -> tuple[Change, ...]:
    """Return for each metric the answers whose scores changed most, losses before gains.

    Long texts are cut, so that what is returned is of bounded size.

    Args:
        current: Scores of the change.
        baseline: Scores of what it is compared with.
        samples: The samples of the change.
        baseline_samples: The samples of the baseline, with its answers.
        listed: How many for each metric at most.
    """
    now, before = tally(current), tally(baseline)
    new = {each.id: each for each in samples}
    old = {each.id: each for each in baseline_samples}
    found: list[Change] = []
    for name, own in now.items():
        if name not in before:
            continue
        known = before[name].values
        moved = [
            each for each in own.values
            if each in known and abs(own.values[each] - known[each]) > 1e-9
        ]  # fmt: skip
        moved.sort(key=lambda each: (-abs(own.values[each] - known[each]), own.values[each]))
        found += [_change(each, own, before[name], new, old) for each in moved[:listed]]
    return tuple(found)


def _change(
    name: str, now: Tally, before: Tally, new: Mapping[str, Sample], old: Mapping[str, Sample]
) -> Change:
    sample, base = new.get(name), old.get(name)
    asked = sample or base
    return Change(
        now.metric,
        name,
        before.values[name],
        now.values[name],
        _cut(asked.user_input if asked else ""),
        _cut(base.response if base else ""),
        _cut(sample.response if sample else ""),
        _cut(before.scores[name][0].reason),
        _cut(now.scores[name][0].reason),
    )


def _cut(text: str) -> str:
    if len(text) <= _TEXT:
        return text
    return f"{text[:_TEXT]}… ({len(text) - _TEXT:,} more characters)"
