"""What ``%judge label`` and ``%judge calibrate`` do, once their lines are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.errors import UsageProblem, nearest
from llmops_kernel.magics._judge_run import early_end, is_offline, panel, run_told
from llmops_kernel.magics._judging import dataset_named, labels_on, scores_named

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence

    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score
    from llmops_kernel.magics.judge_results import Calibrated, Labelling
    from llmops_kernel.session import Session


def labelling(
    session: Session, args: Namespace, names: Mapping[str, Any], *, widgets: bool
) -> Labelling:
    """Open a queue for a rater.

    Raises:
        UsageProblem: The data set, metric or a number cannot be.
        MissingExtra: anywidget is not installed, and a front end could show it.
        StoreError: The file of labels cannot be read.
    """
    from llmops_kernel.judge.labelling import Desk, LabelSheet, make_queue
    from llmops_kernel.magics.judge_results import Judgement, Labelling

    flag = "%judge label"
    samples: Sequence[Sample] = dataset_named(args.data, names, flag).samples
    if args.pairwise:
        samples = _paired(samples, args.pairwise, names)
    value = names.get(args.data)
    known = _values(value.scores, args.metric) if isinstance(value, Judgement) else None
    queue = make_queue(
        samples,
        args.metric,
        n=args.n,
        scores=known,
        grades=args.grades,
        pairs=bool(args.pairwise),
        seed=args.seed,
    )
    path = Path(args.labels) if args.labels else _sheet(args.data, names)
    desk = Desk(queue, LabelSheet(path), args.rater or session.settings.user)
    widget = None
    if widgets and not session.settings.static:
        from llmops_kernel.display.label import label_widget

        def act(command: str, choice: str, item: str) -> None:
            if command == "undo":
                desk.undo()
            elif command == "answer":
                desk.answer(choice, item=item)

        widget = label_widget(desk.facts, act)
    return Labelling(desk, tuple(samples), args.data, widget)


def calibrated(session: Session, args: Namespace, names: Mapping[str, Any]) -> Calibrated:
    """Compare a judge with people's labels.

    Raises:
        UsageProblem: The data set, metric or judge cannot be, or there is no score.
    """
    from llmops_kernel.judge.calibration import calibrate
    from llmops_kernel.judge.calibration.calibrate import WITHIN
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.magics.judge_results import Calibrated, Judgement

    value = names.get(args.data)
    dataset = dataset_named(args.data, names, "%judge calibrate")
    paths = list(args.labels)
    default = _sheet(args.data, names)
    if not paths and default.is_file():
        paths = [str(default)]
    samples: Sequence[Sample] = dataset.samples
    if args.pairwise:
        samples = _paired(samples, args.pairwise, names)
    from llmops_kernel.judge.data.problems import Dataset

    dataset, notes = labels_on(Dataset(tuple(samples)), paths)
    metric, threshold = args.metric, None
    if args.scores:
        scores: Sequence[Score] = scores_named(args.scores, names, "--scores")
    elif isinstance(value, Judgement) and _full(value.scores, metric):
        scores = value.scores  # what was judged already is not paid for again
    else:
        from llmops_kernel.judge.metrics import metrics_of

        found = metrics_of([metric])[0]
        judge, second = panel(session, args, names)
        result = run_told(session, args, dataset.samples, [found], judge, second)
        scores, threshold = result.scores, found.threshold
        notes = (*notes, *result.notes, *early_end(result, args.journal))
        metric = found.outputs[0]
        if is_offline(args.judge, names):
            notes = (*notes, f"{BADGE[0].upper()}{BADGE[1:]}.")
    metric = _full(scores, metric) or metric
    calibration = calibrate(
        dataset.samples,
        scores,
        metric,
        human=args.human or _label(dataset.samples, metric),
        threshold=_threshold(metric) if threshold is None else threshold,
        within=WITHIN if args.within is None else (args.within,),
    )
    return Calibrated(calibration, tuple(scores), dataset.samples, notes)


def _paired(samples: Sequence[Sample], base: str, names: Mapping[str, Any]) -> tuple[Sample, ...]:
    from llmops_kernel.judge.labelling import paired

    return paired(samples, dataset_named(base, names, "--pairwise").samples)


def _sheet(data: str, names: Mapping[str, Any]) -> Path:
    """Return the file of labels that belongs to a data set."""
    if data in names:
        return Path(f"{data}.labels.jsonl")
    path = Path(data)
    return path.with_name(f"{path.stem}.labels.jsonl")


def _full(scores: Sequence[Score], metric: str) -> str:
    """Return the name that scores have for a metric, with its convention; "" for none."""
    known = dict.fromkeys(score.metric for score in scores)
    if metric in known:
        return metric
    same = [each for each in known if each.partition("[")[0] == metric]
    return same[0] if len(same) == 1 else ""


def _values(scores: Sequence[Score], metric: str) -> Mapping[str, float] | None:
    from llmops_kernel.judge.tally import tally

    name = _full(scores, metric)
    return tally(scores)[name].values if name else None


def _label(samples: Sequence[Sample], metric: str) -> str:
    """Return the label that is compared with a metric: its own, or the only one there is."""
    from llmops_kernel.judge.data.labels import human_value

    if any(human_value(each, metric) is not None for each in samples):
        return metric
    found = sorted({name for each in samples for name in each.human})
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageProblem(
            f"No sample has a label of {metric}{nearest(metric, found)}",
            detail=f"there are labels of {', '.join(found)}",
            hint="--human NAME",
        )
    return metric


def _threshold(metric: str) -> float:
    from llmops_kernel.judge.metrics import metrics_of

    try:
        return metrics_of([metric])[0].threshold
    except UsageProblem:  # criteria in a person's own words have no entry
        return 0.5
