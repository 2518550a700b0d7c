"""What the cache holds and saves, why it would serve a request, and what it served as near."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import count, nano_dollars, percent
from llmops_kernel.display.table import table
from llmops_kernel.display.text import markup, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmops_kernel.cache.explain import Audit, Explanation, Hit
    from llmops_kernel.cache.stats import CacheStats

_MAX_LINE = 240  # characters of a question in text
_TIERS = {"exact": "Hits, exact", "near_verbatim": "Hits, near-verbatim", "flight": "Hits, waiting"}
_VERDICTS = {None: "not judged", True: "right", False: "wrong"}


def cache_stats_view(
    stats: CacheStats, *, switches: Mapping[str, str], warnings: Sequence[str] = ()
) -> View:
    """Build the page of the cache.

    Args:
        stats: What it holds and has saved.
        switches: What is on, by name.
        warnings: Why calls go on uncached, if they do.
    """
    rows = [*switches.items()]
    rows += [("Answers", count(stats.entries)), ("Bytes", count(stats.bytes))]
    rows += [(name, count(stats.tiers.get(tier, 0))) for tier, name in _TIERS.items()]
    rows.append(("Misses", count(stats.misses)))
    rows.append(("Hit rate", None if stats.hit_rate is None else percent(stats.hit_rate)))  # type: ignore[arg-type]
    rows += [
        ("Saved" + ("" if book == "real" else f", {printable(book)}"), nano_dollars(nano))
        for book, nano in sorted(stats.saved_nano.items())
    ]
    rows += [("Evicted", count(stats.evicted)), ("Damaged and removed", count(stats.tampered))]
    html, plain = table(("Name", "Value"), rows, "Cache")
    for warning in warnings:
        html, plain = f"{html}\n<p>{markup(warning)}</p>", f"{plain}\n\n{printable(warning)}"
    facts = {**asdict(stats), "hit_rate": stats.hit_rate, "warnings": list(warnings)}
    facts["switches"] = dict(switches)
    return view(html, plain, facts)


def cache_explain_view(explained: Explanation, *, question: str, stable: bool = False) -> View:
    """Build the explanation of what the cache would do with a question.

    Args:
        explained: What it would do.
        question: The question.
        stable: Leave out when the recorded answer was given.
    """
    tier = explained.tier.replace("_", "-") or "none (a model is called)"
    rows = [("Question", question), ("Tier", tier), ("Reason", explained.reason)]
    if explained.question:
        rows.append(("Recorded question", explained.question))
    if explained.created and not stable:
        rows.append(("Answered", _moment(explained.created)))
    html, _ = table(("Name", "Value"), rows, "What the cache would do")
    # In text these are lines: a table would cut the questions, which are to be compared.
    plain = "\n".join(f"{name}: {one_line(value, _MAX_LINE)}" for name, value in rows)
    return view(html, plain, {"asked": question, **asdict(explained)})


def cache_audit_view(audit: Audit, *, target: float, stable: bool = False) -> View:
    """Build the list of near-verbatim hits with both texts, and the errors per judged hit.

    Args:
        audit: The hits.
        target: The bound on errors per hit that the judged ones are held against.
        stable: Leave out when they were.
    """
    title = f"Near-verbatim hits: {count(len(audit.hits))} of {count(audit.total)}"
    columns = ("#", "Answered first", "Served for", "Reason", "Verdict")
    rows = [
        (hit.number, hit.stored, hit.asked, hit.reason, _VERDICTS[hit.right]) for hit in audit.hits
    ]
    sentence = _evidence(audit, target)
    html, _ = table(columns, rows, title)
    lines = [title, *(line for hit in audit.hits for line in _lines(hit, stable))]
    facts: dict[str, Any] = {
        "hits": [asdict(hit) for hit in audit.hits],
        "total": audit.total,
        "judged": audit.evidence.hits,
        "wrong": audit.evidence.errors,
        "errors_per_hit": audit.evidence.interval.as_dict(),
        "target": target,
        "verdict": str(audit.evidence.verdict(target)),
    }
    return view(f"{html}\n<p>{markup(sentence)}</p>", "\n".join([*lines, sentence]), facts)


def _evidence(audit: Audit, target: float) -> str:
    judged = audit.evidence
    if not judged.hits:
        return "Errors per hit: none was judged yet"
    low, high, verdict = judged.interval.low, judged.interval.high, judged.verdict(target)
    return (
        f"Errors per hit: {judged.errors} of {count(judged.hits)} judged, at 95 % between "
        f"{low:.2%} and {high:.2%}; at most {target:.2%}: {verdict}"
    )


def _lines(hit: Hit, stable: bool) -> list[str]:
    said = [_VERDICTS[hit.right], one_line(hit.reason), one_line(hit.model)]
    if not stable:
        said.append(_moment(hit.at))
    return [
        f"{hit.number}  {' · '.join(said)}",
        f"   answered first: {one_line(hit.stored, _MAX_LINE)}",
        f"   served for:     {one_line(hit.asked, _MAX_LINE)}",
    ]


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
