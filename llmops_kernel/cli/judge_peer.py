"""``llmops judge peer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._judge import exit_code, read
from llmops_kernel.cli._judge_text import run_text
from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.cli._values import amount

if TYPE_CHECKING:
    import argparse

HELP = "Measure answers with the metrics of Ragas, DeepEval or TruLens, through our endpoint"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("library", metavar="LIBRARY", help="ragas, deepeval or trulens")
    parser.add_argument("data", metavar="DATA.jsonl", help="rows with user_input, response, ...")
    parser.add_argument(
        "--metrics", metavar="NAMES", default="", help="with commas (default: all harmless ones)"
    )
    parser.add_argument(
        "--judge", metavar="MODEL", required=True, help="the model that judges, or an alias"
    )
    parser.add_argument("--budget", metavar="USD", help="cap for this run")
    parser.add_argument(
        "--concurrency", type=int, default=16, metavar="N", help="samples at a time (default: 16)"
    )
    parser.add_argument(
        "--timeout", type=float, default=3_600.0, metavar="SECONDS",
        help="end the library's process after so long (default: 3600)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-eval", action="store_true",
        help="allow metrics that run the judge's text as Python code",
    )  # fmt: skip
    parser.add_argument("--out", metavar="FILE", help="write all scores to this JSON file")
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print a row for each metric; 4 if a cap was reached, 3 if nothing could be scored."""
    from llmops_kernel.judge.peers.door import metered
    from llmops_kernel.judge.peers.run import run_library
    from llmops_kernel.judge.report import build_report
    from llmops_kernel.judge.results import as_dict, save

    dataset = read(arguments.data)
    overrides: dict[str, Any] = {"cache": {"near": False}}
    if arguments.budget is not None:
        overrides["run_budget_usd"] = amount(arguments.budget, "--budget")
    with opened_session(**overrides) as session:
        session.catalog.resolve(arguments.judge)  # a wrong name fails before the library is loaded
        result = run_library(
            dataset.samples,
            arguments.library,
            [name.strip() for name in arguments.metrics.split(",") if name.strip()],
            door=metered(session),
            model=arguments.judge,
            concurrency=arguments.concurrency,
            timeout_s=arguments.timeout,
            consent=arguments.allow_eval,
        )
    for note in result.notes:
        warn(note)
    if result.stopped:
        warn(f"Ended early: {result.stopped}")
    facts = {"judge": arguments.judge, "samples": len(dataset), "problems": dataset.counts}
    if arguments.out:
        save(arguments.out, result, **facts)
    if arguments.json:
        shown = as_dict(result, **facts)
        if arguments.out:
            shown.pop("scores")
        say_json(shown)
    else:
        report = build_report(dataset.samples, result.scores, problems=dataset.counts)
        say(run_text(result, report, arguments.judge))
    return exit_code(result)
