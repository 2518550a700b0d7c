"""``llmops judge agree``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import OFFLINE, add_run, exit_code, judge_named, read, run_told
from llmops_kernel.cli._output import say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from llmops_kernel.judge.samples import Sample

HELP = "Compare a judge with people's labels"

_FIGURES = ("accuracy", "balanced_accuracy", "auc", "kappa", "sensitivity", "specificity")
# What the offline judge has to set beside a label of people; it has no such judgement itself.
_STAND_INS = {
    "faithfulness": "lexical_support",
    "groundedness": "lexical_support",
    "attributable": "lexical_support",
    "hallucination": "lexical_support",
    "answer_relevance": "embedding_relevance",
    "relevance": "embedding_relevance",
}


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
    add_run(parser)
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print how often judge and people agree; 4 if a cap was reached, 3 without a score."""
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.judge.metrics import metrics_of
    from llmops_kernel.judge.stats import detection

    dataset = read(arguments.data)
    label, labels = _labels(dataset.samples, arguments.human or arguments.metric)
    name = arguments.metric
    if arguments.judge == OFFLINE and name.partition("[")[0] in _STAND_INS:
        name = _STAND_INS[name.partition("[")[0]]
        warn(f"The offline judge has no {arguments.metric}; compared is {name}")
    metric = metrics_of([name])[0]
    labelled = [sample for sample in dataset.samples if sample.id in labels]
    with judge_named(arguments.judge) as judge:
        result = run_told(arguments, labelled, [metric], judge)
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


def _labels(samples: Sequence[Sample], name: str) -> tuple[str, dict[str, float]]:
    """Return the label's name, and the value of each sample that has it.

    Raises:
        UsageProblem: No sample has it, and there is not just one other that could be meant.
    """
    from llmops_kernel.judge.data.labels import human_value

    names = sorted({label for sample in samples for label in sample.human})
    if not any(human_value(sample, name) is not None for sample in samples) and len(names) == 1:
        name = names[0]
    found = {sample.id: human_value(sample, name) for sample in samples}
    labels = {key: value for key, value in found.items() if value is not None}
    if not labels:
        raise UsageProblem(
            f"No sample has a human label {name!r}",
            detail=f"there are labels for {', '.join(names) or 'nothing'}",
            hint='Rows need "human": {"faithfulness": {"label": "yes"}}; --human names the label',
        )
    if not all(0 <= value <= 1 for value in labels.values()):
        raise UsageProblem(
            "People's scores must lie between 0 and 1", hint='Or give labels: "yes" and "no"'
        )
    return name, labels


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
