"""What ``%%judge`` and ``%judge`` do, once their lines are read."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.magics._inputs import bound_or_file
from llmops_kernel.magics.hooks import say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.judges.jury import Jury
    from llmops_kernel.judge.judges.protocol import Judge
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.magics.judge_results import Comparison, Judgement
    from llmops_kernel.session import Session

OFFLINE = "offline"
_OFFLINE_METRICS = ("lexical_support", "entity_consistency", "embedding_relevance")
_LABEL = re.compile(r"([A-Za-z_]\w*)\s*:\s+(.+)", re.DOTALL)
_CITED = re.compile(r"\s*\[\d{1,3}(?:\s*,\s*\d{1,3})*\]")
_LAST = 50  # traces that are looked through for the last answer
_BAR_AFTER = 0.5  # seconds


def judged(
    session: Session, args: Namespace, dataset: Dataset, criteria: str, names: Mapping[str, Any]
) -> Judgement:
    """Measure a data set; the estimate is told before anything is spent.

    Raises:
        UsageProblem: A metric, judge, baseline or configuration cannot be.
    """
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.gating import load_config
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.judge.report import build_report
    from llmops_kernel.judge.runner import run
    from llmops_kernel.magics.judge_results import Judgement

    offline = args.judge == OFFLINE
    metrics = _metrics(args.metrics, criteria, offline=offline)
    # All that can be wrong is found out before anything is paid for.
    baseline = _scores(args.baseline, names, "--baseline") if args.baseline else None
    config = load_config(args.gate) if args.gate else GateConfig()
    if args.gate and baseline is None and not config.floors:
        raise UsageProblem("--gate needs a baseline or a floor", hint="--baseline NAME_OR_FILE")
    judge = _judge(session, args.judge)
    _say_estimate(dataset, metrics, judge, quiet=args.quiet)
    with _progress(shown=not args.quiet and not session.settings.static) as progress:
        result = run(
            dataset.samples,
            metrics,
            judge,
            concurrency=args.concurrency,
            max_usd=args.budget,
            journal=args.journal,
            progress=progress,
        )
    gate = None
    if baseline is not None or args.gate:
        gate = decide(result.scores, baseline, config, samples=dataset.samples)
    report = build_report(
        dataset.samples, result.scores, gate=gate, problems=dataset.counts,
        title=f"Judged by {judge.id}",
    )  # fmt: skip
    notes = list(result.notes)
    if result.stopped:
        notes.append(f"Ended early: {result.stopped}")
    if offline:
        notes.append(f"{BADGE[0].upper()}{BADGE[1:]}.")
    return Judgement(
        dataset,
        result,
        report,
        judge.id,
        tuple(notes),
        gate,
        args.baseline or "the floors",
        gated=bool(args.gate),
        stable=session.settings.static,
    )


def dataset_named(name: str, names: Mapping[str, Any]) -> Dataset:
    """Return the data set that ``--data`` names: a variable first of all, or a file.

    Raises:
        UsageProblem: It is neither, or holds no sample.
    """
    from llmops_kernel.judge.data.given import dataset_of
    from llmops_kernel.magics.judge_results import Judgement

    value = bound_or_file("--data", name, names)
    dataset = value.dataset if isinstance(value, Judgement) else dataset_of(value)
    for problem in dataset.problems[:3]:
        say(f"{name}, {problem}")
    if len(dataset.problems) > 3:
        say(f"{name}: {len(dataset.problems) - 3} more rows are not whole")
    return dataset


def last_answer(session: Session) -> Dataset:
    """Return the newest answer from documents as a data set of one, without citation marks.

    Raises:
        UsageProblem: There is none.
    """
    from llmops_kernel.judge.data import from_traces
    from llmops_kernel.judge.data.problems import Dataset

    found = from_traces(session.store, limit=_LAST)
    if not found.samples:
        raise UsageProblem(
            "There is no answer from documents yet",
            detail=str(found.problems[0]) if found.problems else "",
            hint="%%rag INDEX asks a question",
        )
    newest = found.samples[0].trace_id
    sample = [each for each in found.samples if each.trace_id == newest][-1]
    # The marks would count as figures that no passage holds.
    return Dataset((replace(sample, response=_CITED.sub("", sample.response)),))


def compared(current: str, baseline: str, names: Mapping[str, Any]) -> Comparison:
    """Compare two runs, each a variable or a file.

    Raises:
        UsageProblem: One is neither.
    """
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.gating import samples_of
    from llmops_kernel.magics.judge_results import Comparison, Judgement

    now, before = (_scores(each, names, "%judge compare") for each in (current, baseline))
    known = names.get(current)
    samples = known.dataset.samples if isinstance(known, Judgement) else samples_of(now, None)
    gate = decide(now, before, GateConfig(min_n=2), samples=samples)
    return Comparison(gate, current, baseline)


def judgement_named(name: str, names: Mapping[str, Any]) -> Judgement:
    """Return the judgement that is bound to a name.

    Raises:
        UsageProblem: There is none.
    """
    from llmops_kernel.magics.judge_results import Judgement

    value = names.get(name)
    if not isinstance(value, Judgement):
        known = [each for each, bound in names.items() if isinstance(bound, Judgement)]
        raise UsageProblem(
            f"{name!r} is no result of %%judge{nearest(name, known)}",
            hint="%%judge METRIC --data NAME_OR_FILE -o NAME makes one",
        )
    return value


def _metrics(given: Sequence[str], body: str, *, offline: bool) -> list[Metric]:
    from llmops_kernel.judge.metrics import metrics_of
    from llmops_kernel.judge.metrics.criteria import Criteria

    named = [part for each in given for part in _split(each)]
    own: list[Metric] = []
    for line in body.splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LABEL.fullmatch(text)
        label, said = (match[1], match[2].strip()) if match else ("", text)
        if label == "metrics":
            named += _split(said)
            continue
        if len(said) > 1 and said[0] == said[-1] and said[0] in "\"'":
            said = said[1:-1]
        own.append(Criteria(said, label="" if label == "criteria" else label))
    taken = [metric.name for metric in own]
    for name in taken:
        if taken.count(name) > 1:
            raise UsageProblem(f"Two lines have the name {name}", hint="Name each: tone: ...")
    if not named and not own:
        named = list(_OFFLINE_METRICS if offline else ("triad",))
    return [*(metrics_of(named) if named else []), *own]


def _split(text: str) -> list[str]:
    """Split at commas that are not within brackets."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def _judge(session: Session, name: str) -> Judge | Jury:
    from llmops_kernel.judge.judges import Jury, OfflineJudge, judge_of

    names = [each.strip() for each in name.split(",") if each.strip()]
    if names == [OFFLINE]:
        return OfflineJudge()
    if not names or OFFLINE in names:
        raise UsageProblem("A jury is made of models", hint="--judge gpt-4o-mini,claude-haiku-4-5")
    judges = tuple(judge_of(session, each) for each in names)
    return judges[0] if len(judges) == 1 else Jury(judges)


def _say_estimate(
    dataset: Dataset, metrics: Sequence[Metric], judge: Judge | Jury, *, quiet: bool
) -> None:
    from llmops_kernel.display import count, dollars
    from llmops_kernel.judge.runner import estimate

    if quiet:
        return
    expected = estimate(dataset.samples, metrics, judge)
    samples = f"{count(len(dataset))} sample{'s' * (len(dataset) != 1)}"
    if not expected.calls:
        say(f"{samples}, no call, $0.00")
        return
    book = " simulated" if expected.simulated else ""
    calls = f"{count(expected.calls)} call{'s' * (expected.calls != 1)}"
    say(
        f"{samples}, {calls}, about {dollars(expected.usd)}{book}, "
        f"at most {dollars(expected.most_usd)} without repairs"
    )


def _scores(name: str, names: Mapping[str, Any], flag: str) -> Sequence[Score]:
    from llmops_kernel.judge.results import load_scores
    from llmops_kernel.judge.runner import RunResult
    from llmops_kernel.magics.judge_results import Judgement

    value = bound_or_file(flag, name, names)
    if isinstance(value, Judgement | RunResult):
        return value.scores
    if isinstance(value, Path):
        return load_scores(value)[0]
    raise UsageProblem(
        f"{flag}: {name!r} holds no scores", hint="Give a result of %%judge, or a file of scores"
    )


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int, int], None] | None]:
    """Show how far a run is, on one line of stderr that goes away at the end."""
    if not shown:
        yield None
        return
    from tqdm.std import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread is needed to redraw it

    bar = Bar(unit="score", delay=_BAR_AFTER, leave=False)

    def tell(done: int, total: int, usd_nano: int) -> None:
        bar.total = total
        if usd_nano:
            bar.set_postfix_str(f"${usd_nano / 1e9:.4f}", refresh=False)
        bar.update(done - bar.n)

    try:
        yield tell
    finally:
        bar.close()
