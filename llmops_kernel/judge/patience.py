"""When a judge is given up: answers in a row that are no verdicts cost money and bring nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.judge.data.problems import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.cells import Cell
    from llmops_kernel.judge.scores import Score

GIVE_UP_AFTER = 20


class Patience:
    """Counts, for each judge and metric, measurements in a row whose answers cannot be read.

    A measurement counts as a whole: a judge that lists claims and then talks about them fails each
    time. What says nothing of the judge's form (a refusal, a failed call, a missing field) neither
    counts nor begins the count anew.

    Args:
        limit: How many in a row are too many; 0 for no end.

    Attributes:
        why: Why the judge was given up; "" while it was not.
    """

    def __init__(self, limit: int) -> None:
        self.why = ""
        self._limit = limit
        self._rows: dict[tuple[str, str], list[str]] = {}

    def heard(self, cell: Cell, scores: Sequence[Score], key: str) -> tuple[str, ...]:
        """Take note of a measurement.

        Returns:
            Keys of the measurements in a row that made it too much, once; else nothing.
        """
        assert cell.judge is not None
        name = (cell.judge.id, cell.metric.name)
        if any(score.value is not None or score.unscored == "abstained" for score in scores):
            self._rows.pop(name, None)
            return ()
        failed = [score for score in scores if score.unscored == "parse"]
        if not failed or not self._limit or self.why:
            return ()
        row = self._rows.setdefault(name, [])
        row.append(key)
        if len(row) < self._limit:
            return ()
        self.why = (
            f"{len(row)} answers in a row by {cell.judge.id} to {cell.metric.name} were no "
            f"verdicts ({shown(failed[0].reason)})"
        )
        return tuple(row)
