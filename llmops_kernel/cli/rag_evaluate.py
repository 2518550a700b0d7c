"""``llmops rag evaluate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.cli._output import opened_session, say, say_json, warn
from llmops_kernel.cli._parser import json_flag

if TYPE_CHECKING:
    import argparse

    from llmops_kernel.rag.evaluate import EvaluationReport, Interval

HELP = "Measure the search of an index on labelled questions"

_MODES = ("dense", "bm25", "hybrid")
_SHOWN = (
    ("recall", "recall@{k}"),
    ("hit", "hit@{k}"),
    ("ndcg", "nDCG@10"),
    ("mrr", "MRR"),
    ("token_recall", "token recall"),
    ("token_iou", "token IoU"),
    ("context_tokens", "tokens"),
)
_BAD_SHOWN = 20


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("index", metavar="INDEX", help="the index")
    parser.add_argument(
        "questions", metavar="QUESTIONS.jsonl",
        help='rows like {"question": ..., "gold_ids": [...]} or '
        '{"question": ..., "gold_spans": [{"source": ..., "quote": ...}]}',
    )  # fmt: skip
    parser.add_argument("-k", type=int, default=5, metavar="N", help="results (default: 5)")
    parser.add_argument(
        "--mode", action="append", choices=_MODES, help="way to search; repeatable (default: all)"
    )
    parser.add_argument("--tenant", metavar="NAME", help="who asks, where a row does not say")
    parser.add_argument(
        "--budget", type=int, metavar="TOKENS", help="count only results that fit these tokens"
    )
    parser.add_argument(
        "--details", action="store_true", help="with --json: the scores of each question as well"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Print the scores; 1 if a row could not be scored."""
    from llmops_kernel.rag.evaluate import evaluate, load_questions

    questions, bad = load_questions(arguments.questions)
    with opened_session() as session:
        tenant = session.settings.tenant if arguments.tenant is None else arguments.tenant
        report = evaluate(
            session.indexes.open(arguments.index),
            questions,
            k=arguments.k,
            modes=arguments.mode or _MODES,
            tenant=tenant,
            budget=arguments.budget,
            bad=bad,
        )
    if arguments.json:
        say_json(report.as_dict(details=arguments.details))
    else:
        say(_text(report))
    for row in report.bad[:_BAD_SHOWN]:
        warn(str(row))
    if report.bad:
        more = len(report.bad) - _BAD_SHOWN
        rest = f" ({more} more not shown)" if more > 0 else ""
        warn(f"{len(report.bad)} rows could not be scored{rest}")
    return 0 if report.ok else 1


def _text(report: EvaluationReport) -> str:
    from llmops_kernel.display.table import table

    names = [
        (name, title.format(k=report.k))
        for name, title in _SHOWN
        if any(name in each.metrics for each in report.modes)
    ]
    rows = [
        [each.mode, *(_cell(name, each.metrics.get(name)) for name, _ in names)]
        for each in report.modes
    ]
    fits = f", results within {report.budget:,} tokens" if report.budget else ""
    without = f", {report.unanswerable} without gold" if report.unanswerable else ""
    caption = f"{report.index}: {report.scored} questions{without}{fits}; mean and 95 % interval"
    lines = [table(["mode", *(title for _, title in names)], rows, caption=caption)[1]]
    lines += [
        f"hybrid - {each.than}, {dict(names).get(each.metric, each.metric)}: "
        f"{each.interval.mean:+.3f} [{each.interval.low:+.3f}, {each.interval.high:+.3f}]"
        for each in report.differences
    ]
    return "\n".join(lines)


def _cell(name: str, value: Interval | None) -> str:
    if value is None:
        return "-"
    if name == "context_tokens":
        return f"{value.mean:,.0f}"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
