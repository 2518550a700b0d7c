"""What ``%%judge`` and ``%judge`` return: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.display.judge import comparison_view, judge_view
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from llmops_kernel.display import View
    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.judge.stats.intervals import Interval


@dataclass(frozen=True, repr=False)
class Judgement(Shown):
    """What a judge found.

    Attributes:
        dataset: What was judged, and the rows that were none.
        run: The scores, and what they took.
        report: Means with their intervals, by metric.
        judge: Who judged.
        notes: What a person should know.
        gate: The comparison with the baseline, where one was named.
        baseline: Its name.
    """

    dataset: Dataset
    run: RunResult
    report: Report
    judge: str
    notes: tuple[str, ...] = ()
    gate: GateResult | None = None
    baseline: str = ""
    gated: bool = False
    stable: bool = False

    @property
    def scores(self) -> tuple[Score, ...]:
        """All scores, in order."""
        return self.run.scores

    @property
    def means(self) -> Mapping[str, Interval | None]:
        """The mean of each metric with its interval; None where nothing was scored."""
        return {each.metric: each.mean for each in self.report.metrics}

    def __getitem__(self, metric: str) -> Interval | None:
        return self.means[metric]

    def save(self, path: str | Path) -> None:
        """Write the scores as ``llmops judge run --out`` does.

        Raises:
            UsageProblem: The file cannot be written.
        """
        from llmops_kernel.judge.results import save

        facts = {"samples": len(self.dataset), "problems": self.dataset.counts}
        save(path, self.run, judge=self.judge, **facts)

    def html(self) -> str:
        """Return the report as one HTML page that stands alone."""
        from llmops_kernel.judge.report import to_html

        return to_html(self.report)

    def junit(self) -> str:
        """Return the report as JUnit XML."""
        from llmops_kernel.judge.report import to_junit

        return to_junit(self.report)

    def view(self) -> View:
        """Build the table of metrics, and that of differences from the baseline."""
        own = judge_view(
            self.report,
            judge=self.judge,
            run=self.run,
            notes=self.notes,
            stable=self.stable,
        )
        if self.gate is None:
            return own
        other = comparison_view(
            self.gate, current="This run", baseline=self.baseline, decides=self.gated
        )
        from llmops_kernel.display import View

        data = {
            "text/html": f"{own.html}\n{other.html}",
            "text/plain": f"{own.text}\n\n{other.text}",
        }
        return View(data, own.facts)


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What changed between two runs.

    Attributes:
        gate: Differences with their intervals and p-values, by metric.
        current: Name of the run.
        baseline: Name of what it is compared with.
    """

    gate: GateResult
    current: str
    baseline: str

    def view(self) -> View:
        """Build the table of differences."""
        return comparison_view(
            self.gate, current=self.current, baseline=self.baseline, decides=False
        )
