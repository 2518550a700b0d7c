"""What ``%%judge`` and ``%judge`` return: data for code, views for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.judge import comparison_view, judge_view
from llmops_kernel.display.judge_calibration import calibration_view
from llmops_kernel.display.label import label_view
from llmops_kernel.magics.results import Shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from llmops_kernel.display import View
    from llmops_kernel.judge.calibration.model import Calibration
    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.labelling import Desk, Queue, Record
    from llmops_kernel.judge.labelling.desk import Answers
    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.samples import Sample
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


@dataclass(frozen=True, repr=False)
class Labelling(Shown):
    """A rater at a queue: a widget where there is a front end, a still picture elsewhere.

    Attributes:
        desk: The queue, the file, and what the rater did so far.
        data: The samples the queue was drawn from.
        name: What they are called in the notebook.
        widget: What takes keys; None in a shell and in static mode.
    """

    desk: Desk
    data: tuple[Sample, ...]
    name: str
    widget: Any = None

    @property
    def queue(self) -> Queue:
        """The items, in order."""
        return self.desk.queue

    @property
    def path(self) -> Path:
        """The file of labels."""
        return self.desk.sheet.path

    @property
    def labels(self) -> tuple[Record, ...]:
        """What the rater did with the queue's items so far."""
        return self.desk.records

    @property
    def samples(self) -> tuple[Sample, ...]:
        """All samples, with the labels that there are now of any rater.

        Raises:
            StoreError: The file cannot be read.
        """
        from llmops_kernel.judge.labelling import labelled

        return labelled(self.data, self.path).samples if self.path.is_file() else self.data

    def label(self, answers: Answers) -> Labelling:
        """Label from code, and return the same queue with what was said.

        Args:
            answers: Keys of choices (or ``s``) by sample id, in the queue's order, or from a
                function of the item.

        Raises:
            UsageProblem: An answer is no choice.
            StoreError: The file cannot be written.
        """
        from dataclasses import replace

        from llmops_kernel.judge.labelling import Desk, label

        label(self.queue, answers, path=self.path, rater=self.desk.rater)
        return replace(self, desk=Desk(self.queue, self.desk.sheet, self.desk.rater), widget=None)

    def view(self) -> View:
        """Build the still picture."""
        facts = self.desk.facts()
        done = facts["item"] is None
        how = [
            f"Labels are in {self.path.name}."
            if done
            else f"In a terminal: llmops judge label DATA.jsonl --metric {facts['metric']}; from "
            f"code: .label(answers). Labels go to {self.path.name}, each at once."
        ]
        notes = []
        if self.desk.sheet.torn:
            notes.append(f"{self.desk.sheet.torn} lines of the file of labels cannot be read")
        return label_view(facts, how=how, notes=notes)

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(include, exclude)
        if self.widget is None:
            return data, metadata
        shown = self.widget._repr_mimebundle_()
        bundle = shown[0] if isinstance(shown, tuple) else shown
        return {**(bundle or {}), **data}, metadata


@dataclass(frozen=True, repr=False)
class Calibrated(Shown):
    """A judge beside people.

    Attributes:
        calibration: Agreement, corrected mean, biases, and how many labels more would take.
        scores: The judge's.
        samples: With people's labels in ``human``.
        notes: What a person should know.
    """

    calibration: Calibration
    scores: tuple[Score, ...]
    samples: tuple[Sample, ...]
    notes: tuple[str, ...] = ()

    def view(self) -> View:
        """Build the table of figures."""
        from llmops_kernel.judge.report.calibrated import bias_rows, calibration_rows
        from llmops_kernel.judge.report.figures import spread

        found = self.calibration
        rows = calibration_rows(found)
        if found.state == "uncalibrated":
            rows = [("The judge's own mean, of all", spread(found.raw)), *bias_rows(found)]
        return calibration_view(found, rows, notes=self.notes)
