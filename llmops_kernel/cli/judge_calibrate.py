"""``llmops judge calibrate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import (
    OFFLINE,
    add_run,
    exit_code,
    panel_named,
    read,
    run_told,
)
from llmops_kernel.cli._judge_labels import add_labels, labels_of, stand_in, with_labels
from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from llmops_kernel.judge.metrics.base import Metric
    from llmops_kernel.judge.samples import Sample
    from llmops_kernel.judge.scores import Score

HELP = "Correct a judge's mean by people's labels, and tell where it leans"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "data", metavar="DATA.jsonl", help="all rows the judge's mean is of, some of them labelled"
    )
    parser.add_argument("--metric", required=True, metavar="NAME", help="what the judge measures")
    parser.add_argument(
        "--human", metavar="NAME", help="the label to compare with (default: the metric's own)"
    )
    add_labels(parser)
    parser.add_argument(
        "--scores", metavar="SCORES.json", help="take these scores, and ask no judge"
    )
    parser.add_argument(
        "--pairwise", metavar="BASE.jsonl", help="the other answers, for the metric pairwise"
    )
    parser.add_argument(
        "--within", type=float, metavar="SHARE",
        help="tell how many labels an interval of plus or minus this takes (0.1, 0.05 and 0.03)",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=float, metavar="SHARE",
        help="scores at or above it are a yes (default: the metric's own, mostly 0.5)",
    )  # fmt: skip
    add_run(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the calibration; 4 if a cap was reached, 3 without a score."""
    from llmops_kernel.display.judge_calibration import calibration_view
    from llmops_kernel.judge.calibration import calibrate
    from llmops_kernel.judge.calibration.calibrate import WITHIN
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.judge.report.calibrated import calibration_rows

    dataset = with_labels(read(arguments.data), arguments.labels)
    samples: Sequence[Sample] = dataset.samples
    if arguments.pairwise:
        from llmops_kernel.judge.labelling import paired

        samples = paired(samples, read(arguments.pairwise).samples)
    label, _ = labels_of(samples, arguments.human or arguments.metric)
    scores, metric, code, extra = _scores(arguments, samples)
    if not any(score.value is not None for score in scores):
        return code or 3
    own = extra.pop("threshold")
    found = calibrate(
        samples,
        scores,
        metric,
        human=label,
        threshold=own if arguments.threshold is None else arguments.threshold,
        within=WITHIN if arguments.within is None else (arguments.within,),
    )
    notes = [BADGE] if arguments.judge == OFFLINE and not arguments.scores else []
    view = calibration_view(found, calibration_rows(found), notes=notes)
    if arguments.json:
        say_json({**view.facts, **extra})
    else:
        say(view.text)
    return code


def _scores(
    arguments: argparse.Namespace, samples: Sequence[Sample]
) -> tuple[Sequence[Score], str, int, dict[str, Any]]:
    """Return the judge's scores, the metric's full name, the exit code and the run's figures."""
    if arguments.scores:
        from llmops_kernel.judge.results import load_scores

        scores, _ = load_scores(arguments.scores)
        names = dict.fromkeys(score.metric for score in scores)
        bare = [each for each in names if each.partition("[")[0] == arguments.metric]
        named = arguments.metric if arguments.metric in names or len(bare) != 1 else bare[0]
        return scores, named, 0, {"threshold": _threshold(named)}
    from llmops_kernel.judge.metrics import metrics_of

    name = stand_in(arguments.metric) if arguments.judge == OFFLINE else arguments.metric
    metric: Metric = metrics_of([name])[0]
    with panel_named(arguments.judge, arguments.escalate) as (judge, second):
        result = run_told(arguments, samples, [metric], judge, second)
    facts = {"calls": result.calls, "usd": result.usd, "simulated": result.simulated}
    code = exit_code(result)
    return result.scores, metric.outputs[0], code, {**facts, "threshold": metric.threshold}


def _threshold(name: str) -> float:
    from llmops_kernel.errors import UsageProblem
    from llmops_kernel.judge.metrics import metrics_of

    try:
        return metrics_of([name])[0].threshold
    except UsageProblem:  # criteria in a person's own words have no entry
        return 0.5
