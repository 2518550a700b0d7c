"""What the verbs of ``llmops judge`` have in common."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import opened_session, warn
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.samples import Sample

OFFLINE = "offline"
BUDGET_REACHED = 4
INVALID = 3
_SHOWN = 20
_EVERY_S = 0.5


def add_run(parser: argparse.ArgumentParser) -> None:
    """Declare how a run is made."""
    parser.add_argument(
        "--judge", metavar="NAME", default=OFFLINE,
        help="offline (heuristics), a model or alias, or several with commas: a jury "
        "(default: offline)",
    )  # fmt: skip
    parser.add_argument(
        "--escalate", metavar="MODEL", help="have this model decide where a jury's votes are split"
    )
    parser.add_argument("--journal", metavar="FILE", help="resume from this file, and write to it")
    parser.add_argument("--budget", metavar="USD", help="cap for this run")
    parser.add_argument(
        "--concurrency", type=int, default=16, metavar="N", help="calls at a time (default: 16)"
    )
    parser.add_argument(
        "--rate", type=float, metavar="N", help="calls a minute at most (default: no limit)"
    )
    parser.add_argument(
        "--give-up-after", type=int, default=20, metavar="N",
        help="end the run after so many answers of a judge in a row that are no verdicts "
        "(default: 20; 0: never)",
    )  # fmt: skip


def read(path: str) -> Dataset:
    """Read a data set and tell what is wrong with its rows.

    Raises:
        UsageProblem: It cannot be read, or holds no sample.
    """
    from llmops_kernel.judge.data import load

    dataset = load(path)
    for problem in dataset.problems[:_SHOWN]:
        warn(str(problem))
    if len(dataset.problems) > _SHOWN:
        warn(f"{len(dataset.problems) - _SHOWN} more rows are not whole")
    for note in dataset.notes:
        warn(note)
    if not dataset.samples:
        raise UsageProblem(
            "There is no sample in the data set",
            detail=path,
            hint="A row needs user_input; llmops judge import makes such rows of other "
            "tools' files",
        )
    return dataset


@contextmanager
def judge_named(name: str) -> Iterator[Judge | Jury]:
    """Open the judge of a name, with a session where it is a model."""
    with panel_named(name, None) as (judge, _):
        yield judge


@contextmanager
def panel_named(name: str, escalate: str | None) -> Iterator[tuple[Judge | Jury, Judge | None]]:
    """Open the judge of a name, and the one that decides where a jury's votes are split.

    Raises:
        UsageProblem: A jury that is none, or somebody to decide where nobody votes.
    """
    from llmops_kernel.judge.judges import Jury, OfflineJudge, judge_of

    names = [each.strip() for each in name.split(",") if each.strip()]
    if escalate and len(names) < 2:
        raise UsageProblem(
            "Only a jury's votes can be split", hint="--judge gpt-4o-mini,claude-haiku-4-5"
        )
    if names == [OFFLINE]:
        yield OfflineJudge(), None
        return
    if not names or OFFLINE in names:
        raise UsageProblem("A jury is made of models", hint="--judge gpt-4o-mini,claude-haiku-4-5")
    with opened_session() as session:
        judges = tuple(judge_of(session, each) for each in names)
        second = judge_of(session, escalate) if escalate else None
        yield judges[0] if len(judges) == 1 else Jury(judges), second


def run_told(
    arguments: argparse.Namespace,
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    second: Judge | None = None,
) -> RunResult:
    """Run with the arguments of `add_run`, and tell the estimate and the progress on stderr.

    ``second`` decides where a jury's votes are split.
    """
    from llmops_kernel.cli._values import amount
    from llmops_kernel.judge.juries import escalate
    from llmops_kernel.judge.runner import estimate, run

    budget = None if arguments.budget is None else amount(arguments.budget, "--budget")
    expected = estimate(samples, metrics, judge, journal=arguments.journal)
    if expected.calls:
        book = " (simulated)" if expected.simulated else ""
        known = f"; the journal has {expected.known:,} more" if expected.known else ""
        warn(
            f"{expected.calls:,} calls, about ${expected.usd:.4f}{book}, "
            f"at most ${expected.most_usd:.4f} without repairs{known}"
        )
    with _progress() as progress:
        options: dict[str, Any] = {
            "concurrency": arguments.concurrency,
            "rate_per_minute": arguments.rate,
            "max_usd": budget,
            "journal": arguments.journal,
            "progress": progress,
            "give_up_after": arguments.give_up_after,
        }
        result = run(samples, metrics, judge, **options)
        if second is not None:
            result = escalate(result, samples, metrics, second, **options)
    for note in result.notes:
        warn(note)
    if result.stopped:
        warn(f"Ended early: {result.stopped}")
        if arguments.journal:
            warn(f"{arguments.journal} has what was measured; the same command goes on from there")
    return result


def exit_code(result: RunResult) -> int:
    """Return 0; 4 if a cap left samples out; 3 if the run ended early or there is no score."""
    if any(score.unscored == "budget" for score in result.scores):
        return BUDGET_REACHED
    if result.stopped:  # no key, or a judge that was given up
        return INVALID
    return 0 if any(score.value is not None for score in result.scores) else INVALID


@contextmanager
def _progress() -> Iterator[Any]:
    """Show progress on a terminal, and nothing in a file."""
    if not sys.stderr.isatty():
        yield None
        return
    last = [time.monotonic()]

    def show(done: int, total: int, usd_nano: int) -> None:
        now = time.monotonic()
        if now - last[0] >= _EVERY_S or done == total:
            last[0] = now
            sys.stderr.write(f"\r{done:,} of {total:,}, ${usd_nano / 1e9:.4f} ")
            sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r" + " " * 40 + "\r")
        sys.stderr.flush()
