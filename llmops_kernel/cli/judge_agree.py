"""``llmops judge agree``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import OFFLINE, add_run, exit_code, panel_named, read, run_told
from llmops_kernel.cli._judge_labels import add_labels, labels_of, stand_in, with_labels
from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

HELP = "Compare a judge with people's labels"

_FIGURES = ("accuracy", "balanced_accuracy", "auc", "kappa", "sensitivity", "specificity")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "data", metavar="DATA.jsonl",
        help='rows with "human": {"METRIC": {"label" or "score": ...}}',
    )  # fmt: skip
    parser.add_argument("--metric", required=True, metavar="NAME", help="what the judge measures")
    parser.add_argument(
        "--human", metavar="NAME", help="the label to compare with (default: the metric's own)"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="SHARE",
        help="scores at or above it are a yes (default: the metric's own, mostly 0.5)",
    )  # fmt: skip
    add_labels(parser)
    add_run(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print how often judge and people agree; 4 if a cap was reached, 3 without a score."""
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.judge.metrics import metrics_of
    from llmops_kernel.judge.stats import detection

    dataset = with_labels(read(arguments.data), arguments.labels)
    label, labels = labels_of(dataset.samples, arguments.human or arguments.metric)
    name = stand_in(arguments.metric) if arguments.judge == OFFLINE else arguments.metric
    metric = metrics_of([name])[0]
    labelled = [sample for sample in dataset.samples if sample.id in labels]
    with panel_named(arguments.judge, arguments.escalate) as (judge, second):
        result = run_told(arguments, labelled, [metric], judge, second)
        judge_id = judge.id
    scores = [score for score in result.scores if score.metric == metric.outputs[0]]
    scored = [score for score in scores if score.value is not None]
    threshold = metric.threshold if arguments.threshold is None else arguments.threshold
    facts: dict[str, Any] = {
        "metric": metric.outputs[0],
        "human": label,
        "judge": judge_id,
        **({"badge": BADGE} if arguments.judge == OFFLINE else {}),
        "samples": len(dataset),
        "labelled": len(labelled),
        "scored": len(scored),
        "unscored": dict(Counter(str(s.unscored) for s in scores if s.value is None)),
        "calls": result.calls,
        "usd": result.usd,
        "simulated": result.simulated,
    }
    if scored:
        human = [labels[score.sample_id] for score in scored]
        values = [score.value for score in scored if score.value is not None]
        facts |= detection(human, values, threshold=threshold).as_dict()
    if arguments.json:
        say_json(facts)
    else:
        say(_text(facts))
    return exit_code(result)


def _text(facts: dict[str, Any]) -> str:
    from llmops_kernel.display.table import table

    rows = []
    for name in _FIGURES:
        each = facts.get(name)
        if each is not None:
            span = f"[{each['low']:.3f}, {each['high']:.3f}]"
            rows.append([name.replace("_", " "), f"{each['estimate']:.3f}", span])
    left = ", ".join(f"{count} {why}" for why, count in facts["unscored"].items())
    caption = (
        f"{facts['judge']}, {facts['metric']} against people's {facts['human']}: "
        f"{facts['scored']} of {facts['labelled']} labelled samples scored"
        f"{f' ({left})' if left else ''}"
    )
    lines = [table(["figure", "value", "95 % interval"], rows, caption=caption)[1]]
    if "badge" in facts:
        lines.append(facts["badge"])
    return "\n".join(lines)
