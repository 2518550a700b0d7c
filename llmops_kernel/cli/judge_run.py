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
from llmops_kernel.cli._judge_text import by_people, run_text
from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

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
            expected = estimate(dataset.samples, metrics, judge, journal=arguments.journal)
            _say_estimate(expected, json=arguments.json)
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
        say("\n".join([run_text(result, report, arguments.judge), *by_people(report)]))
    return exit_code(result)


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
                "known": expected.known,
            }
        )
        return
    book = " (simulated)" if expected.simulated else ""
    known = f"; the journal has {expected.known:,} more" if expected.known else ""
    say(
        f"{expected.calls:,} calls, {expected.input_tokens:,} tokens in and "
        f"{expected.output_tokens:,} out, about ${expected.usd:.4f}{book}{known}"
    )
