"""Runs metrics over samples: concurrent, capped, resumable, in order.

Calls are made on the loop that the judge's calls belong to (for a session's models the session's
own, which holds its connections), or else on a loop and a thread that the run makes for itself.
The caller's thread only waits, so that Ctrl-C and the kernel's stop button end a run, and a
notebook's own loop is left alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.status import nano, usd
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.errors import LLMOpsError, UsageProblem
from llmops_kernel.judge.estimates import RunEstimate, estimate
from llmops_kernel.judge.journal import Journal, journal_key
from llmops_kernel.judge.judges.jury import Jury
from llmops_kernel.judge.judges.protocol import Ruling
from llmops_kernel.judge.limits import Limits
from llmops_kernel.judge.metrics.base import Finding
from llmops_kernel.judge.scores import Score

if TYPE_CHECKING:
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.prompts.text import Task
    from llmops_kernel.judge.samples import Sample

__all__ = ["RunEstimate", "RunResult", "estimate", "run"]

Progress = Callable[[int, int, int], None]
COMPUTED = "computed"


@dataclass(frozen=True)
class RunResult:
    """What a run found.

    Attributes:
        scores: In the order of the samples, then of the metrics, then of the repeats.
        calls: Model calls that were made now.
        usd_nano: What they cost, in nano-dollars (simulated ones if ``simulated``).
        seconds: Wall time.
        simulated: Whether the dollars are simulated ones.
        resumed: Scores that came from the journal, without a call.
        stopped: Why the run ended early; "" if it did not.
        notes: What a person should know (a torn line of the journal).
    """

    scores: tuple[Score, ...]
    calls: int = 0
    usd_nano: int = 0
    seconds: float = 0.0
    simulated: bool = False
    resumed: int = 0
    stopped: str = ""
    notes: tuple[str, ...] = ()

    @property
    def usd(self) -> Decimal:
        """What the calls cost, in dollars."""
        return usd(self.usd_nano)


def run(
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    *,
    concurrency: int = 16,
    rate_per_minute: float | None = None,
    max_usd: Decimal | float | str | None = None,
    journal: str | Path | Journal | None = None,
    progress: Progress | None = None,
    repeats: int = 1,
) -> RunResult:
    """Measure samples.

    Nothing a sample or a judge does ends a run: every sample gets a score or the reason why it
    has none. When a cap is reached or a stop is called, calls in flight end and the rest is
    ``unscored:budget``; when every call would fail alike (no key), the rest is
    ``unscored:error``.

    Args:
        samples: What is judged.
        metrics: What is measured of each.
        judge: Who judges; metrics without prompts are computed and need none.
        concurrency: Calls at a time.
        rate_per_minute: Calls a minute at most.
        max_usd: A cap for this run alone, under the ledger's caps.
        journal: A file (or an open `Journal`) to resume from and to write to.
        progress: Called as ``progress(done, total, usd_nano)`` from the run's thread.
        repeats: How often each is measured; more shows how steady the judge is.

    Raises:
        UsageProblem: An argument cannot be, or the judge cannot measure a metric.
        OutputInvalid: The judge wrote no steps for criteria that came without.
        StoreError: The journal cannot be read or written.
    """
    if concurrency < 1 or repeats < 1:
        raise UsageProblem("concurrency and repeats must be at least 1")
    if rate_per_minute is not None and rate_per_minute <= 0:
        raise UsageProblem("rate_per_minute must be more than 0")
    judges = judge.judges if isinstance(judge, Jury) else (judge,)
    for each in judges:
        if refuse := getattr(each, "refuse", None):  # a judge without a model knows what it is not
            refuse(metrics)
    limits_of = (None if max_usd is None else nano(Decimal(str(max_usd))), rate_per_minute)
    loop = _loop_of(judges)
    own = loop is None
    loop = loop or BackgroundLoop("llmops-judge")
    opened = Journal(journal) if isinstance(journal, str | Path) else journal
    try:
        with opened if opened is not journal and opened is not None else nullcontext():
            work = _Run(samples, metrics, judge, opened, progress, repeats)
            return loop.run(work.all(concurrency, *limits_of))
    finally:
        if own:
            loop.stop()


def _loop_of(judges: Sequence[Judge]) -> BackgroundLoop | None:
    loops = {id(judge.loop): judge.loop for judge in judges if judge.loop is not None}
    if len(loops) > 1:
        raise UsageProblem("The judges of a jury belong to different sessions")
    return next(iter(loops.values()), None)


@dataclass(frozen=True, slots=True)
class _Cell:
    """One measurement: a sample, a metric, and who measures (None: nobody is asked)."""

    sample: Sample
    metric: Metric
    judge: Judge | None
    repeat: int


class _Run:
    def __init__(
        self,
        samples: Sequence[Sample],
        metrics: Sequence[Metric],
        judge: Judge | Jury,
        journal: Journal | None,
        progress: Progress | None,
        repeats: int,
    ) -> None:
        self._samples = samples
        self._metrics = list(metrics)
        self._jury = judge if isinstance(judge, Jury) else None
        self._judges = judge.judges if isinstance(judge, Jury) else (judge,)
        self._journal = journal
        self._progress = progress
        self._repeats = repeats
        self._resumed = 0
        self._done = 0
        self._fatal: Ruling | None = None
        self._books: set[bool] = set()

    async def all(
        self, concurrency: int, max_nano: int | None, rate_per_minute: float | None
    ) -> RunResult:
        began = time.perf_counter()
        self._limits = Limits(max_nano, rate_per_minute)
        self._metrics = [await each.prepare(self._prepare_ask) for each in self._metrics]
        cells = list(self._cells())
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
            tuple(self._in_order(found)),
            self._limits.calls,
            self._limits.spent,
            time.perf_counter() - began,
            simulated=self._books == {True},
            resumed=self._resumed,
            stopped=self._limits.stopped or (self._fatal.detail if self._fatal else ""),
            notes=tuple(self._journal.notes) if self._journal is not None else (),
        )

    def _cells(self) -> Any:
        for sample in self._samples:
            for metric in self._metrics:
                for repeat in range(self._repeats if metric.judged else 1):
                    for judge in self._judges if metric.judged else (None,):
                        yield _Cell(sample, metric, judge, repeat)

    def _in_order(self, found: Sequence[list[Score]]) -> Any:
        if self._jury is None:
            for scores in found:
                yield from scores
            return
        at = 0
        for _ in self._samples:
            for metric in self._metrics:
                members = len(self._judges) if metric.judged else 1
                for _ in range(self._repeats if metric.judged else 1):
                    votes = found[at : at + members]
                    at += members
                    if members == 1:
                        yield from votes[0]
                    else:
                        for together in zip(*votes, strict=True):
                            combined = self._jury.combine(together)
                            marks = "+".join(score.fingerprint for score in together)
                            yield replace(combined, fingerprint=_hash(self._jury.id, marks))

    async def _score(self, cell: _Cell) -> list[Score]:
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
        key = self._key(cell)
        if self._journal is not None:
            known = self._journal.scores(key, sample.id)
            if known is not None:
                self._resumed += len(known)
                return known
        scores = await self._ask_judge(cell, cell.judge)
        if self._journal is not None and self._journal.add(key, scores):
            await asyncio.to_thread(self._journal.sync)
        return scores

    async def _ask_judge(self, cell: _Cell, judge: Judge) -> list[Score]:
        rulings: list[Ruling] = []

        async def ask(task: Task) -> Ruling:
            if self._fatal is not None:
                ruling = Ruling(unscored=self._fatal.unscored, detail=self._fatal.detail)
            else:
                ruling = await judge.ask(task, repeat=cell.repeat, via=self._limits.via)
                self._note(ruling)
            rulings.append(ruling)
            return ruling

        try:
            found = await cell.metric.measure(cell.sample, ask)
        except (LLMOpsError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            # A metric of one's own may stumble over one sample; the others go on.
            detail = error.sentence() if isinstance(error, LLMOpsError) else repr(error)
            found = cell.metric.failed(Ruling(unscored="error", detail=detail[:300]))
        return self._scores(cell, found, rulings)

    def _note(self, ruling: Ruling) -> None:
        if ruling.calls:
            self._books.add(ruling.simulated)
        if ruling.fatal and self._fatal is None:
            self._fatal = ruling
            self._limits.stop(ruling.detail)

    def _scores(
        self, cell: _Cell, found: Sequence[Finding], rulings: Sequence[Ruling]
    ) -> list[Score]:
        """Make scores of findings; the first one carries the calls and the cost of all."""
        metric, judge = cell.metric, cell.judge
        name = judge.id if judge is not None else getattr(metric, "by", COMPUTED)
        params = repr(sorted(judge.params.items())) if judge is not None else ""
        mark = _hash(name, params, metric.name, metric.version)
        scores = []
        for number, finding in enumerate(found):
            detail = dict(finding.detail)
            if self._repeats > 1:
                detail["repeat"] = cell.repeat
            first = rulings if number == 0 else ()
            scores.append(
                Score(
                    cell.sample.id,
                    finding.metric,
                    name,
                    finding.value,
                    finding.unscored,
                    finding.verdicts,
                    finding.reason,
                    sum(ruling.calls for ruling in first),
                    sum(ruling.usd_nano for ruling in first),
                    any(ruling.simulated for ruling in rulings),
                    mark,
                    detail,
                )
            )
        return scores

    def _key(self, cell: _Cell) -> str:
        assert cell.judge is not None
        seen = f"{cell.sample.digest}/{cell.metric.seen(cell.sample)}"
        metric, judge = cell.metric, cell.judge
        return journal_key(seen, metric.name, metric.version, judge.id, judge.params, cell.repeat)

    async def _prepare_ask(self, task: Task) -> Ruling:
        """Ask what is asked once before a run; a resumed run has the same answer."""
        judge = self._judges[0]
        key = journal_key(task.told, "prepare", task.prompt.id, judge.id, judge.params, 0)
        if self._journal is not None and (known := self._journal.data(key)) is not None:
            return Ruling(data=known)
        ruling = await judge.ask(task, via=self._limits.via)
        self._note(ruling)
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


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
