"""What a run would take, before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.status import usd
from llmops_kernel.errors import LLMOpsError
from llmops_kernel.judge.cells import Cell, cells_of, prepare_key
from llmops_kernel.judge.journal import Journal, read_journal
from llmops_kernel.judge.judges.jury import Jury
from llmops_kernel.judge.judges.protocol import Ruling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.prompts.text import Task
    from llmops_kernel.judge.samples import Sample

# Of a larger set so many samples are counted, evenly spread.
_COUNTED = 400
_Figures = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """Calls, tokens and dollars of a run, without repairs.

    Attributes:
        calls: Model calls.
        input_tokens: Likely input tokens of all calls.
        output_tokens: Likely output tokens.
        usd_nano: Likely cost in nano-dollars.
        most_nano: The cost if every answer were as long as it may be.
        simulated: Whether the dollars are simulated ones.
        known: Measurements that the journal holds: they are counted in nothing else.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    usd_nano: int
    most_nano: int
    simulated: bool
    known: int = 0

    @property
    def usd(self) -> Decimal:
        """Likely dollars."""
        return usd(self.usd_nano)

    @property
    def most_usd(self) -> Decimal:
        """Dollars at most, without repairs."""
        return usd(self.most_nano)


def estimate(
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    *,
    repeats: int = 1,
    journal: str | Path | Journal | None = None,
) -> RunEstimate:
    """Return what a run would take; samples that lack a field take nothing.

    Of more than 400 samples with something left to measure 400 are counted, for all.

    Args:
        samples: What would be judged.
        metrics: What would be measured of each.
        judge: Who would judge.
        repeats: How often each would be measured.
        journal: What the run would resume from: what is in it takes nothing. The file is only
            read, and need not be there.

    Raises:
        StoreError: The journal cannot be read.
    """
    judges = judge.judges if isinstance(judge, Jury) else (judge,)
    known: Mapping[str, Any] = {}
    if journal is not None:
        known = journal.entries if isinstance(journal, Journal) else read_journal(journal)
    once: list[Task] = []
    ready = [_prepared(each, judges[0], known, once) for each in metrics]
    left: dict[str, list[Cell]] = {}
    resumed = 0
    for cell in cells_of(samples, [each for each in ready if each.judged], judges, repeats):
        if cell.metric.missing(cell.sample):
            continue
        if known and cell.key in known:
            resumed += 1
        else:
            left.setdefault(cell.sample.id, []).append(cell)
    piles = list(left.values())
    counted = piles[:: max(1, len(piles) // _COUNTED)]
    sums: _Figures = (0, 0, 0, 0, 0)
    for pile in counted:
        for cell in pile:
            assert cell.judge is not None
            for task in cell.metric.tasks(cell.sample):
                sums = _added(sums, (1, *cell.judge.bound(task)))
    share = len(piles) / len(counted) if counted else 0
    sums = _added((0, 0, 0, 0, 0), tuple(round(total * share) for total in sums))
    for task in once if piles else ():
        sums = _added(sums, (1, *judges[0].bound(task)))
    simulated = all(each.simulated for each in judges)
    calls, given, written, likely, most = sums
    return RunEstimate(calls, given, written, likely, most, simulated, resumed)


def _prepared(metric: Metric, judge: Judge, known: Mapping[str, Any], once: list[Task]) -> Metric:
    """Return a metric as the run will have it, where the journal knows how it was prepared.

    Where it does not, the run will ask: ``once`` gets the question.
    """
    asked: list[Task] = []

    async def ask(task: Task) -> Ruling:
        found = known.get(prepare_key(task, judge))
        if found is None:
            asked.append(task)
        return Ruling(data=found, unscored=None if found is not None else "error")

    steps = metric.prepare(ask)
    try:
        steps.send(None)
    except StopIteration as done:
        ready: Metric = done.value
        return ready
    except LLMOpsError:
        once += asked
    finally:
        steps.close()
    return metric


def _added(sums: _Figures, more: tuple[int, ...]) -> _Figures:
    a, b, c, d, e = (one + other for one, other in zip(sums, more, strict=True))
    return (a, b, c, d, e)
