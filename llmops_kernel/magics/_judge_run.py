"""Who judges for a magic, and a run of it: its estimate first, its progress meanwhile."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.session import Session

OFFLINE = "offline"
_BAR_AFTER = 0.5  # seconds


def run_told(
    session: Session,
    args: Namespace,
    samples: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    second: Judge | None,
) -> RunResult:
    """Run with a magic's arguments; the estimate is told first. ``second`` decides split votes."""
    from llmops_kernel.judge.juries import escalate
    from llmops_kernel.judge.runner import run

    _say_estimate(samples, metrics, judge, args.journal, quiet=args.quiet)
    with _progress(shown=not args.quiet and not session.settings.static) as progress:
        options: dict[str, Any] = {
            "concurrency": args.concurrency,
            "max_usd": args.budget,
            "journal": args.journal,
            "progress": progress,
            "give_up_after": args.give_up_after,
        }
        result = run(samples, metrics, judge, **options)
        if second is not None:
            result = escalate(result, samples, metrics, second, **options)
    return result


def early_end(result: RunResult, journal: str | None) -> tuple[str, ...]:
    """Return why a run ended early and how it goes on; nothing for one that did not."""
    if not result.stopped:
        return ()
    kept = f"; {journal} has what was measured, and the next run goes on from there"
    return (f"Ended early: {result.stopped}{kept if journal else ''}",)


def panel(
    session: Session, args: Namespace, names: Mapping[str, Any]
) -> tuple[Judge | Jury, Judge | None]:
    """Return who judges, and who decides where a jury's votes are split.

    Raises:
        UsageProblem: A jury that is none, or somebody to decide where nobody votes.
    """
    from llmops_kernel.judge.judges import Jury, judge_of

    judge = _judge(session, args.judge, names)
    if not args.escalate:
        return judge, None
    if not isinstance(judge, Jury):
        raise UsageProblem(
            "Only a jury's votes can be split", hint="--judge gpt-4o-mini,claude-haiku-4-5"
        )
    return judge, judge_of(session, args.escalate)


def is_offline(name: str, bound: Mapping[str, Any]) -> bool:
    """Whether ``--judge`` names the heuristics, or a variable that does."""
    return name == OFFLINE or bound.get(name) == OFFLINE


def name_of(judge: Judge | Jury, second: Judge | None) -> str:
    return judge.id if second is None else f"{judge.id}>{second.id}"


def _judge(session: Session, name: str, bound: Mapping[str, Any]) -> Judge | Jury:
    from llmops_kernel.judge.judges import Judge, Jury, OfflineJudge, judge_of

    own = None if name == OFFLINE else bound.get(name)
    if isinstance(own, Jury) or (isinstance(own, Judge) and not isinstance(own, type)):
        return own
    if isinstance(own, str):  # a notebook's parameter
        name = own
    names = [each.strip() for each in name.split(",") if each.strip()]
    if names == [OFFLINE]:
        return OfflineJudge()
    if not names or OFFLINE in names:
        raise UsageProblem("A jury is made of models", hint="--judge gpt-4o-mini,claude-haiku-4-5")
    judges = tuple(judge_of(session, each) for each in names)
    return judges[0] if len(judges) == 1 else Jury(judges)


def _say_estimate(
    given: Sequence[Sample],
    metrics: Sequence[Metric],
    judge: Judge | Jury,
    journal: str | None,
    *,
    quiet: bool,
) -> None:
    """Say on stdout what a run would take; nothing where it costs nothing."""
    from llmops_kernel.display import count, dollars
    from llmops_kernel.judge.runner import estimate

    if quiet:
        return
    expected = estimate(given, metrics, judge, journal=journal)
    if not expected.most_nano:
        return
    samples = f"{count(len(given))} sample{'s' * (len(given) != 1)}"
    book = " simulated" if expected.simulated else ""
    calls = f"{count(expected.calls)} call{'s' * (expected.calls != 1)}"
    known = f"; the journal has {count(expected.known)} more" if expected.known else ""
    told = (
        f"{samples}, {calls}, about {dollars(expected.usd)}{book}, "
        f"at most {dollars(expected.most_usd)} without repairs{known}"
    )
    # What is normal does not belong on stderr, which notebooks show in red.
    sys.stdout.write(f"{told}\n")
    sys.stdout.flush()


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int, int], None] | None]:
    """Show how far a run is, on one line that goes away at the end."""
    if not shown:
        yield None
        return
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread is needed to redraw it

    bar = Bar(unit="score", delay=_BAR_AFTER, leave=False, file=sys.stdout)

    def tell(done: int, total: int, usd_nano: int) -> None:
        bar.total = total
        if usd_nano:
            bar.set_postfix_str(f"${usd_nano / 1e9:.4f}", refresh=False)
        bar.update(done - bar.n)

    try:
        yield tell
    finally:
        bar.close()
