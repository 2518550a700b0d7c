"""Several judges, one score: models of different makers have different weak sides."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.scores import Score

Vote = Literal["mean", "median", "majority"]
_HALF = 0.5
_SPLIT = 0.25


@dataclass(frozen=True)
class Jury:
    """Judges that vote.

    Attributes:
        judges: Two at least, each a judge of its own.
        vote: How their scores become one: the mean, the median, or the share of the side
            (at least one half, or below) that most are on: 1, 0, or 0.5 for a tie.
    """

    judges: tuple[Judge, ...]
    vote: Vote = "mean"

    def __post_init__(self) -> None:
        names = [judge.id for judge in self.judges]
        if len(set(names)) < 2 or len(set(names)) < len(names):
            raise UsageProblem("A jury needs two or more different judges", detail=", ".join(names))

    @property
    def id(self) -> str:
        """``jury:mean(a+b+c)``."""
        return f"jury:{self.vote}({'+'.join(judge.id for judge in self.judges)})"

    def combine(self, scores: Sequence[Score]) -> Score:
        """Return the jury's score of one metric of one sample.

        Members that could not score are left out of the vote and named in the detail; without a
        vote there is no score. ``split`` says that votes lie more than a quarter apart.
        """
        votes = [score.value for score in scores if score.value is not None]
        members = {score.judge: score.value for score in scores}
        left_out = {s.judge: s.unscored for s in scores if s.value is None}
        books = {score.simulated for score in scores if score.calls}
        first = scores[0]
        together = replace(
            first,
            judge=self.id,
            value=None,
            unscored=None,
            verdicts=(),
            reason="",
            calls=sum(score.calls for score in scores),
            # Simulated dollars are never added to real ones.
            usd_nano=sum(s.usd_nano for s in scores if not (s.simulated and len(books) > 1)),
            simulated=books == {True},
            detail={
                "members": members,
                "left_out": left_out,
                "split": bool(votes) and max(votes) - min(votes) > _SPLIT,
            },
        )
        if not votes:
            return replace(together, unscored=first.unscored)
        return replace(together, value=self._value(votes))

    def _value(self, votes: Sequence[float]) -> float:
        if self.vote == "mean":
            return statistics.fmean(votes)
        if self.vote == "median":
            return statistics.median(votes)
        yes = sum(vote >= _HALF for vote in votes)
        return _HALF if 2 * yes == len(votes) else float(2 * yes > len(votes))
