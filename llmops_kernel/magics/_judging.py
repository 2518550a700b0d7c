"""What ``%%judge`` and ``%judge`` do, once their lines are read."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.magics._inputs import bound_or_file
from llmops_kernel.magics._judge_run import early_end, is_offline, name_of, panel, run_told
from llmops_kernel.magics.hooks import say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.gate import GateResult
    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.report import Change
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.magics.judge_results import Comparison, Judgement
    from llmops_kernel.session import Session

_OFFLINE_METRICS = ("lexical_support", "entity_consistency", "embedding_relevance")
_LABEL = re.compile(r"([A-Za-z_]\w*)\s*:\s+(.+)", re.DOTALL)
_LAST = 50  # traces that are looked through for the last answer


def judged(
    session: Session, args: Namespace, dataset: Dataset, criteria: str, names: Mapping[str, Any]
) -> Judgement:
    """Measure a data set; the estimate is told before anything is spent.

    Raises:
        UsageProblem: A metric, judge, baseline or configuration cannot be.
    """
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.gating import load_config
    from llmops_kernel.judge.judges.offline import BADGE, SIGNALS, figures_line
    from llmops_kernel.judge.planning import plan
    from llmops_kernel.judge.report import build_report, changes_of
    from llmops_kernel.magics.judge_results import Judgement

    offline = is_offline(args.judge, names)
    metrics = _metrics(args.metrics, criteria, offline=offline)
    # All that can be wrong is found out before anything is paid for.
    baseline = scores_named(args.baseline, names, "--baseline") if args.baseline else None
    config = load_config(args.gate) if args.gate else GateConfig()
    if args.gate and baseline is None and not config.floors:
        raise UsageProblem("--gate needs a baseline or a floor", hint="--baseline NAME_OR_FILE")
    dataset, by_people = labels_on(dataset, args.labels)
    judge, second = panel(session, args, names)
    if args.gate and baseline is not None and not args.quiet:
        for each in plan(baseline, config, samples=dataset.samples):
            sys.stdout.write(f"{each.sentence}\n")
    result = run_told(session, args, dataset.samples, metrics, judge, second)
    gate: GateResult | None = None
    changed: tuple[Change, ...] = ()
    if baseline is not None:
        known = names.get(args.baseline)
        old = known.dataset.samples if isinstance(known, Judgement) else ()
        changed = changes_of(result.scores, baseline, dataset.samples, old)
    if baseline is not None or args.gate:
        gate = decide(result.scores, baseline, config, samples=dataset.samples)
    report = build_report(
        dataset.samples, result.scores, gate=gate, changed=changed, problems=dataset.counts,
        title=f"Judged by {name_of(judge, second)}",
    )  # fmt: skip
    notes = [*result.notes, *by_people, *early_end(result, args.journal)]
    if offline:
        notes.append(f"{BADGE[0].upper()}{BADGE[1:]}.")
        notes += [f"{each.name}: {figures_line(each.name)}" for each in metrics
                  if each.name in SIGNALS]  # fmt: skip
    return Judgement(
        dataset,
        result,
        report,
        name_of(judge, second),
        tuple(notes),
        gate,
        args.baseline or "the floors",
        gated=bool(args.gate),
        stable=session.settings.static,
    )


def dataset_named(name: str, names: Mapping[str, Any], flag: str = "--data") -> Dataset:
    """Return the data set that a flag names: a variable first of all, or a file.

    Raises:
        UsageProblem: It is neither, or holds no sample.
    """
    from llmops_kernel.judge.data.given import dataset_of
    from llmops_kernel.magics.judge_results import Judgement

    value = bound_or_file(flag, name, names)
    dataset = value.dataset if isinstance(value, Judgement) else dataset_of(value)
    for problem in dataset.problems[:3]:
        say(f"{name}, {problem}")
    if len(dataset.problems) > 3:
        say(f"{name}: {len(dataset.problems) - 3} more rows are not whole")
    for note in () if isinstance(value, Judgement) else dataset.notes:
        sys.stdout.write(f"{name}: {note}\n")
    return dataset


def last_answer(session: Session) -> Dataset:
    """Return the newest answer from documents as a data set of one, without citation marks.

    Raises:
        UsageProblem: There is none.
    """
    from llmops_kernel.judge.data import from_traces
    from llmops_kernel.judge.data.problems import Dataset
    from llmops_kernel.judge.judges.signals import uncited

    found = from_traces(session.store, limit=_LAST)
    if not found.samples:
        raise UsageProblem(
            "There is no answer from documents yet",
            detail=str(found.problems[0]) if found.problems else "",
            hint="%%rag INDEX asks a question",
        )
    newest = found.samples[0].trace_id
    sample = [each for each in found.samples if each.trace_id == newest][-1]
    # The marks are no part of what is said, and judges would read them as figures.
    return Dataset((replace(sample, response=uncited(sample.response)),))


def compared(current: str, baseline: str, names: Mapping[str, Any]) -> Comparison:
    """Compare two runs, each a variable or a file.

    Raises:
        UsageProblem: One is neither.
    """
    from llmops_kernel.judge.gate import GateConfig, decide
    from llmops_kernel.judge.gating import samples_of
    from llmops_kernel.magics.judge_results import Comparison, Judgement

    now, before = (scores_named(each, names, "%judge compare") for each in (current, baseline))
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


def labels_on(dataset: Dataset, paths: Sequence[str]) -> tuple[Dataset, tuple[str, ...]]:
    """Return a data set with the labels of files, and which of them do not count.

    Raises:
        UsageProblem: There is no such file.
        StoreError: It cannot be read.
    """
    if not paths:
        return dataset, ()
    from llmops_kernel.judge.labelling import labelled

    found = labelled(dataset.samples, *paths)
    told = list(found.notes)
    for metric, alpha in (found.agreement or {}).items():
        told.append(f"{metric}: Krippendorff's alpha of the raters {alpha.estimate:.3f}")
    return replace(dataset, samples=found.samples), tuple(told)


def scores_named(name: str, names: Mapping[str, Any], flag: str) -> Sequence[Score]:
    """Return the scores of a variable or a file.

    Raises:
        UsageProblem: It holds none, or is neither.
    """
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
