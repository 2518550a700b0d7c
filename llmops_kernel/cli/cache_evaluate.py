"""``llmops cache evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.cli._output import say, say_json
from llmops_kernel.cli._parser import json_flag
from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    import argparse

HELP = "Run the cache's decision on labelled pairs: hits, errors per hit, recall"
_SHOWN = 10


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "pairs",
        metavar="PAIRS.csv",
        help="columns a, b, label; 1 means that a's answer is right for b",
    )
    parser.add_argument(
        "--target",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="bound on errors per hit to hold the figures against (default: 0.01)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="with the built-in verifier's tier, which is off"
    )
    json_flag(parser)
    parser.set_defaults(call=call)


def call(arguments: argparse.Namespace) -> int:
    """Evaluate the pairs and print the figures."""
    from llmops_kernel.cache.semantic.evaluate import evaluate, read_pairs

    if not 0 < arguments.target < 1:
        raise UsageProblem(
            "--target is not a share", detail=f"got {arguments.target}", hint="--target 0.01"
        )
    pairs, bad_rows = read_pairs(Path(arguments.pairs))
    tiers = None
    if arguments.strict:
        from llmops_kernel.cache.semantic.strict import strict_tiers

        tiers = strict_tiers()
    facts = evaluate(pairs, tiers, bad_rows=bad_rows).as_dict(arguments.target)
    if arguments.json:
        say_json(facts)
    else:
        say(_text(facts))
    return 0


def _text(facts: dict[str, Any]) -> str:
    from llmops_kernel.display import table

    rows = [_row(tier["tier"], tier) for tier in facts["tiers"]]
    rows.append(_row("all", facts))
    columns = ("Tier", "Hits", "Wrong", "Errors per hit (95 %)", "Recall", "CPU per decision")
    title = f"{facts['pairs']} pairs, {facts['positives']} of them with the same answer"
    lines = [table(columns, rows, title)[1]]
    lines.append(f"Errors per hit at most {facts['target']:.2%}: {facts['verdict']}")
    lines += [
        f"Wrong: line {wrong['line']}, {wrong['tier']}: {wrong['reason']}"
        for wrong in facts["wrong"][:_SHOWN]
    ]
    lines += [f"Missed: {count} x {why}" for why, count in [*facts["missed"].items()][:_SHOWN]]
    if facts["one_way"]:
        lines.append(f"Decided otherwise the other way round: {len(facts['one_way'])} pairs")
    bad = facts["bad_rows"]
    if bad["count"]:
        lines.append(f"Left out: {bad['count']} rows")
        lines += [f"  line {row['line']}: {row['why']}" for row in bad["rows"][:_SHOWN]]
    return "\n".join(lines)


def _row(name: str, facts: dict[str, Any]) -> tuple[str, ...]:
    share = facts["errors_per_hit"]
    value = "-" if share["value"] is None else f"{share['value']:.2%}"
    recall = "-" if facts["recall"] is None else f"{facts['recall']:.1%}"
    cpu = facts["cpu_us_per_decision"]
    return (
        name,
        str(facts["hits"]),
        str(facts["errors"]),
        f"{value} ({share['low']:.2%} to {share['high']:.2%})",
        recall,
        "-" if cpu is None else f"{cpu:.0f} us",
    )
