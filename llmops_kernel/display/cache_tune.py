"""What the margin tier knows of its partitions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, printable

if TYPE_CHECKING:
    from llmops_kernel.cache.semantic.tuning import PartitionReport, Tuning

_COLUMNS = (
    "Partition", "Model", "State", "Texts", "Answers", "Mature", "Judged", "Right", "Threshold",
    "Expected hits", "Errors per hit (95 %)", "Missing",
)  # fmt: skip


def cache_tune_view(tuning: Tuning) -> View:
    """Build the list of partitions: evidence, threshold, expected hits, errors, what is missing."""
    title = f"Margin tier, errors per hit at most {tuning.target:.2%}"
    html, plain = table(_COLUMNS, [_row(each) for each in tuning.partitions], title)
    sentences = []
    if not tuning.partitions:
        sentences.append("No partition has learnt anything yet")
    if not tuning.on:
        sentences.append('The margin tier is off (semantic = "margin", or %cache on --semantic)')
    off = [name.replace("_", "-") for name in tuning.off]
    sentences += [
        f"The {name} tier has switched itself off (%cache tune --restart {name})" for name in off
    ]
    for sentence in sentences:
        html, plain = f"{html}\n<p>{markup(sentence)}</p>", f"{plain}\n\n{printable(sentence)}"
    facts: dict[str, Any] = {
        "target": tuning.target,
        "on": tuning.on,
        "off": list(tuning.off),
        "partitions": [_facts(each, tuning.target) for each in tuning.partitions],
    }
    return view(html, plain, facts)


def _row(each: PartitionReport) -> tuple[object, ...]:
    judged = each.evidence
    low, high = judged.interval.low, judged.interval.high
    return (
        each.name,
        each.model,
        each.state,
        count(each.texts) if each.vectors == "memory" else f"{count(each.texts)}, {each.vectors}",
        count(each.groups),
        count(each.mature),
        f"{count(each.usable)} of {count(each.lookups)}",
        count(each.right),
        "-" if each.threshold is None else f"{each.threshold:.3f}",
        "-" if each.share is None or each.threshold is None else f"{each.share:.1%}",
        f"{judged.errors} of {count(judged.hits)} ({low:.2%} to {high:.2%})"
        if judged.hits
        else "-",
        each.missing or "-",
    )


def _facts(each: PartitionReport, target: float) -> dict[str, Any]:
    facts = asdict(each)
    for name in ("evidence", "audits"):
        judged = getattr(each, name)
        facts[name] = {
            "hits": judged.hits,
            "errors": judged.errors,
            "errors_per_hit": judged.interval.as_dict(),
            "verdict": str(judged.verdict(target)),
        }
    return facts
