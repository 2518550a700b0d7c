"""``llmops judge run``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import (
    OFFLINE,
    add_run,
    exit_code,
    panel_named,
    read,
    run_told,
)
from llmops_kernel.cli._judge_labels import add_labels, with_labels
from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.judge.report import Report
    from llmops_kernel.judge.runner import RunResult

HELP = "Measure the answers of a data set"

_OFFLINE_METRICS = "lexical_support,entity_consistency,embedding_relevance"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "data", metavar="DATA.jsonl", help="rows with id, user_input, response, ..."
    )
    parser.add_argument(
        "--metrics", metavar="NAMES",
        help="with commas, such as faithfulness[deepeval],recall@5 (default: triad; for the "
        "offline judge its own three)",
    )  # fmt: skip
    add_run(parser)
    add_labels(parser)
    parser.add_argument(
        "--first", type=int, metavar="N",
        help="judge the first N rows only, for a gate that looks before all are judged",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write all scores to this JSON file")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what it would take, and make no call"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print a row for each metric; 4 if a cap was reached, 3 if nothing could be scored."""
    from llmops_kernel.judge.judges.offline import BADGE
    from llmops_kernel.judge.metrics import metrics_of
    from llmops_kernel.judge.plain import plain
    from llmops_kernel.judge.report import build_report
    from llmops_kernel.judge.results import as_dict, save
    from llmops_kernel.judge.runner import estimate

    named = arguments.metrics or (_OFFLINE_METRICS if arguments.judge == OFFLINE else "triad")
    metrics = metrics_of(_split(named))
    dataset = with_labels(read(arguments.data), arguments.labels)
    if arguments.first is not None:
        if arguments.first < 1:
            raise UsageProblem("At least one row must be judged", hint="--first 100")
        dataset = replace(dataset, samples=dataset.samples[: arguments.first])
    with panel_named(arguments.judge, arguments.escalate) as (judge, second):
        if arguments.dry_run:
            _say_estimate(estimate(dataset.samples, metrics, judge), json=arguments.json)
            return 0
        result = run_told(arguments, dataset.samples, metrics, judge, second)
        name = f"{judge.id}>{second.id}" if second else judge.id
        facts = {"judge": name, "samples": len(dataset), "problems": dataset.counts}
    if arguments.judge == OFFLINE:
        facts["badge"] = BADGE
    if arguments.out:
        save(arguments.out, result, **facts)
    report = build_report(dataset.samples, result.scores, problems=dataset.counts)
    if arguments.json:
        shown = as_dict(result, **facts)
        for each in report.metrics:
            shown["metrics"][each.metric]["calibration"] = each.calibration.as_dict()
            shown["metrics"][each.metric]["jury"] = plain(each.jury)
        if arguments.out:
            shown.pop("scores")
        say_json(shown)
    else:
        say("\n".join([_text(result, report, arguments.judge), *_by_people(report)]))
    return exit_code(result)


def _by_people(report: Report) -> list[str]:
    """Return a line for each metric that people labelled or a jury voted on."""
    from llmops_kernel.judge.report.calibrated import jury_line
    from llmops_kernel.judge.report.figures import spread

    lines = []
    for each in report.metrics:
        found = each.calibration
        if found.state == "calibrated" and found.corrected is not None:
            lines.append(
                f"{each.metric}: {found.labels} labels by people, mean corrected by them "
                f"{spread(found.corrected)}"
            )
        if each.jury is not None:
            lines.append(f"{each.metric}: {jury_line(each.jury)}")
    if not lines:
        lines.append("Uncalibrated: nobody has labelled these answers yet (llmops judge label)")
    return lines


def _split(names: str) -> list[str]:
    """Split at commas that are not within brackets."""
    found, depth = [""], 0
    for char in names:
        depth += (char == "[") - (char == "]")
        if char == "," and depth <= 0:
            found.append("")
        else:
            found[-1] += char
    return found


def _text(result: RunResult, report: Report, judge: str) -> str:
    from llmops_kernel.display.judge import interval_text
    from llmops_kernel.display.table import table
    from llmops_kernel.judge.judges.offline import SIGNALS, measured_line
    from llmops_kernel.judge.results import counts, failures

    spans = {each.metric: interval_text(each.mean) for each in report.metrics}
    rows = []
    for name, each in counts(result.scores).items():
        mean = "-" if each["mean"] is None else f"{each['mean']:.3f}"
        left = ", ".join(f"{count} {why}" for why, count in each["unscored"].items()) or "-"
        rows.append([name, mean, spans.get(name) or "-", str(each["scored"]), left])
    book = " (simulated)" if result.simulated else ""
    caption = (
        f"judge {judge}: {result.calls:,} calls, ${result.usd:.4f}{book}, {result.seconds:.1f} s"
    )
    if result.resumed:
        caption += f", {result.resumed:,} scores known from the journal"
    if report.problems:
        rows_left = sum(report.problems.values())
        caption += f", {rows_left:,} row{'s' * (rows_left != 1)} left out"
    columns = ["metric", "mean", "95 % interval", "scored", "unscored"]
    lines = [table(columns, rows, caption=caption)[1], *failures(result.scores)]
    shown = {score.metric for score in result.scores}
    lines += [f"{name}: {measured_line(name)}" for name in SIGNALS if name in shown]
    return "\n".join(lines)


def _say_estimate(expected: Any, *, json: bool) -> None:
    if json:
        say_json(
            {
                "calls": expected.calls,
                "input_tokens": expected.input_tokens,
                "output_tokens": expected.output_tokens,
                "usd": expected.usd,
                "most_usd": expected.most_usd,
                "simulated": expected.simulated,
            }
        )
        return
    book = " (simulated)" if expected.simulated else ""
    say(
        f"{expected.calls:,} calls, {expected.input_tokens:,} tokens in and "
        f"{expected.output_tokens:,} out, about ${expected.usd:.4f}{book}"
    )
