"""A run under way: who measures what, what is kept, and when it ends early."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import LLMOpsError
from llmops_kernel.judge.cells import Cell, cells_of, in_order, prepare_key
from llmops_kernel.judge.judges.jury import Jury
from llmops_kernel.judge.judges.protocol import Ruling
from llmops_kernel.judge.limits import Limits
from llmops_kernel.judge.metrics.base import Finding
from llmops_kernel.judge.run_result import RunResult

if TYPE_CHECKING:
    from llmops_kernel.judge.journal import Journal
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.patience import Patience
    from llmops_kernel.judge.prompts.text import Task
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

Progress = Callable[[int, int, int], None]


class Work:
    """A run under way; see `run`."""

    def __init__(
        self,
        samples: Sequence[Sample],
        metrics: Sequence[Metric],
        judge: Judge | Jury,
        journal: Journal | None,
        progress: Progress | None,
        repeats: int,
        patience: Patience,
    ) -> None:
        self._samples = samples
        self._metrics = list(metrics)
        self._jury = judge if isinstance(judge, Jury) else None
        self._judges = judge.judges if isinstance(judge, Jury) else (judge,)
        self._journal = journal
        self._progress = progress
        self._repeats = repeats
        self._patience = patience
        self._resumed = 0
        self._done = 0
        self._fatal: Ruling | None = None
        self._books: set[bool] = set()

    async def all(
        self, concurrency: int, max_nano: int | None, rate_per_minute: float | None
    ) -> RunResult:
        """Measure everything, so many calls at a time, and return the scores in order."""
        began = time.perf_counter()
        self._limits = Limits(max_nano, rate_per_minute)
        self._metrics = [await each.prepare(self._prepare_ask) for each in self._metrics]
        cells = list(cells_of(self._samples, self._metrics, self._judges, self._repeats))
        found: list[list[Score]] = [[] for _ in cells]
        numbers = iter(range(len(cells)))

        async def work() -> None:
            for number in numbers:  # shared: each number goes to one worker, in order
                found[number] = await self._score(cells[number])
                self._done += 1
                if self._progress is not None:
                    self._progress(self._done, len(cells), self._limits.spent)

        await _together(work, min(concurrency, len(cells)))
        return RunResult(
            tuple(in_order(cells, found, self._jury)),
            self._limits.calls,
            self._limits.spent,
            time.perf_counter() - began,
            simulated=self._books == {True},
            resumed=self._resumed,
            stopped=self._limits.stopped or (self._fatal.detail if self._fatal else ""),
            notes=tuple(self._journal.notes) if self._journal is not None else (),
        )

    async def _score(self, cell: Cell) -> list[Score]:
        metric, sample = cell.metric, cell.sample
        if lacking := metric.missing(sample):
            reason = f"{', '.join(lacking)} missing"
            return self._scores(
                cell, [Finding(name, unscored="missing_field", reason=reason)
                       for name in metric.outputs], [])  # fmt: skip
        if cell.judge is None:
            # Computed: off the loop, which serves calls meanwhile.
            found = await asyncio.to_thread(_computed, metric, sample)
            return self._scores(cell, found, [])
        key = cell.key
        if self._journal is not None:
            known = self._journal.scores(key, sample.id)
            if known is not None:
                self._resumed += len(known)
                return known
        scores = await self._ask_judge(cell, cell.judge)
        if self._keep(key, scores):
            assert self._journal is not None
            await asyncio.to_thread(self._journal.sync)
        for failed in self._patience.heard(cell, scores, key):
            self._give_up(failed)
        return scores

    def _keep(self, key: str, scores: Sequence[Score]) -> bool:
        """Write scores to the journal; return whether it is time to sync it."""
        if self._journal is None:
            return False
        if self._patience.why and any(score.unscored == "parse" for score in scores):
            return False  # of a judge that was given up meanwhile
        return self._journal.add(key, scores)

    def _give_up(self, key: str) -> None:
        """End the run for a judge that answers no verdicts; what it could not say stays open."""
        if self._journal is not None:
            self._journal.forget(key)
        if self._fatal is None:
            self._fatal = Ruling(unscored="error", detail=f"given up: {self._patience.why}")
            self._limits.stop(self._patience.why)

    async def _ask_judge(self, cell: Cell, judge: Judge) -> list[Score]:
        rulings: list[Ruling] = []

        async def ask(task: Task) -> Ruling:
            if self._fatal is not None:
                ruling = Ruling(unscored=self._fatal.unscored, detail=self._fatal.detail)
            else:
                ruling = self._noted(
                    await judge.ask(task, repeat=cell.repeat, via=self._limits.via)
                )
            rulings.append(ruling)
            return ruling

        try:
            found = await cell.metric.measure(cell.sample, ask)
        except (LLMOpsError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            # A metric of one's own may stumble over one sample; the others go on.
            detail = error.sentence() if isinstance(error, LLMOpsError) else repr(error)
            found = cell.metric.failed(Ruling(unscored="error", detail=detail[:300]))
        return self._scores(cell, found, rulings)

    def _noted(self, ruling: Ruling) -> Ruling:
        """Take note of a ruling; one that the end of the run refused says why the run ended."""
        if ruling.calls:
            self._books.add(ruling.simulated)
        if ruling.fatal and self._fatal is None:
            self._fatal = ruling
            self._limits.stop(ruling.detail)
        elif ruling.fatal and self._fatal is not None:
            ruling = replace(ruling, unscored=self._fatal.unscored, detail=self._fatal.detail)
        return ruling

    def _scores(
        self, cell: Cell, found: Sequence[Finding], rulings: Sequence[Ruling]
    ) -> list[Score]:
        return cell.scores(found, rulings, repeated=self._repeats > 1)

    async def _prepare_ask(self, task: Task) -> Ruling:
        """Ask what is asked once before a run; a resumed run has the same answer."""
        judge = self._judges[0]
        key = prepare_key(task, judge)
        if self._journal is not None and (known := self._journal.data(key)) is not None:
            return Ruling(data=known)
        ruling = self._noted(await judge.ask(task, via=self._limits.via))
        if self._journal is not None and ruling.data is not None:
            self._journal.put(key, ruling.data)
        return ruling


async def _together(work: Callable[[], Any], count: int) -> None:
    """Run workers until all have ended; what one raises ends the others and is raised."""
    tasks = [asyncio.ensure_future(work()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _computed(metric: Metric, sample: Sample) -> list[Finding]:
    """Run a metric that asks nobody to its end, in a thread."""
    try:
        metric.measure(sample, _nobody).send(None)
    except StopIteration as done:
        findings: list[Finding] = done.value
        return findings
    except Exception as error:  # noqa: BLE001 - one sample does not end a run
        detail = error.sentence() if isinstance(error, LLMOpsError) else repr(error)
        return metric.failed(Ruling(unscored="error", detail=detail[:300]))
    raise AssertionError("a computed metric does not wait")


async def _nobody(_: Task) -> Ruling:
    return Ruling(unscored="error", detail="A computed metric asks nobody")
