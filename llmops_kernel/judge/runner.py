"""Runs metrics over samples: concurrent, capped, resumable, in order.

Calls are made on the loop that the judge's calls belong to (for a session's models the session's
own, which holds its connections), or else on a loop and a thread that the run makes for itself.
The caller's thread only waits, so that Ctrl-C and the kernel's stop button end a run, and a
notebook's own loop is left alone.
"""

from __future__ import annotations

from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import nano
from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.errors import UsageProblem
from llmops_kernel.judge.cells import COMPUTED
from llmops_kernel.judge.estimates import RunEstimate, estimate
from llmops_kernel.judge.journal import Journal
from llmops_kernel.judge.judges.jury import Jury
from llmops_kernel.judge.patience import GIVE_UP_AFTER, Patience
from llmops_kernel.judge.run_result import RunResult
from llmops_kernel.judge.work import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.samples import Sample

__all__ = ["COMPUTED", "GIVE_UP_AFTER", "RunEstimate", "RunResult", "estimate", "run"]


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
    give_up_after: int = GIVE_UP_AFTER,
) -> RunResult:
    """Measure samples.

    Nothing a sample or a judge does ends a run: every sample gets a score or the reason why it
    has none. When a cap is reached or a stop is called, calls in flight end and the rest is
    ``unscored:budget``; when every call would fail alike (no key), or a judge only answers what is
    no verdict, the rest is ``unscored:error``. What a judge that was given up could not say is
    taken out of the journal, so that the next run asks again.

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
        give_up_after: Measurements in a row, by one judge of one metric, whose answers cannot be
            read even after a repair: then the run ends. 0 for never.

    Raises:
        UsageProblem: An argument cannot be, or the judge cannot measure a metric.
        OutputInvalid: The judge wrote no steps for criteria that came without.
        StoreError: The journal cannot be read or written.
    """
    if concurrency < 1 or repeats < 1:
        raise UsageProblem("concurrency and repeats must be at least 1")
    if give_up_after < 0:
        raise UsageProblem("give_up_after cannot be below 0", hint="0 never gives a judge up")
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
            work = Work(samples, metrics, judge, opened, progress, repeats, Patience(give_up_after))
            return loop.run(work.all(concurrency, *limits_of))
    finally:
        if own:
            loop.stop()


def _loop_of(judges: Sequence[Judge]) -> BackgroundLoop | None:
    loops = {id(judge.loop): judge.loop for judge in judges if judge.loop is not None}
    if len(loops) > 1:
        raise UsageProblem("The judges of a jury belong to different sessions")
    return next(iter(loops.values()), None)
