"""What the cache holds and saves, why it would serve a request, and what it served for others."""

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

    from llmops_kernel.cache.explain import Audit, Explanation, Hit, TierAudit
    from llmops_kernel.cache.semantic.evidence import Evidence
    from llmops_kernel.cache.stats import CacheStats

_MAX_LINE = 240  # characters of a question in text
_TIERS = {
    "exact": "Hits, exact",
    "near_verbatim": "Hits, near-verbatim",
    "strict": "Hits, strict",
    "margin": "Hits, margin",
    "flight": "Hits, waiting",
}


def cache_stats_view(
    stats: CacheStats, *, switches: Mapping[str, str], warnings: Sequence[str] = ()
) -> View:
    """Build the page of the cache.

    Args:
        stats: What it holds and has saved.
        switches: What is on, by name.
        warnings: Why calls go on uncached, if they do, and what has switched itself off.
    """
    rows = [*switches.items()]
    rows += [("Answers", count(stats.entries)), ("Bytes", count(stats.bytes))]
    own = {tier: f"Hits, {_name(tier)}" for tier in sorted({*stats.tiers} - {*_TIERS})}
    rows += [(name, count(stats.tiers.get(tier, 0))) for tier, name in (_TIERS | own).items()]
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
    tier = _name(explained.tier) or "none (a model is called)"
    rows = [("Question", question), ("Tier", tier), ("Reason", explained.reason)]
    if explained.question:
        rows.append(("Recorded question", explained.question))
    if explained.created and not stable:
        rows.append(("Answered", _moment(explained.created)))
    html, _ = table(("Name", "Value"), rows, "What the cache would do")
    # In text these are lines: a table would cut the questions, which are to be compared.
    plain = "\n".join(f"{name}: {one_line(value, _MAX_LINE)}" for name, value in rows)
    return view(html, plain, {"asked": question, **asdict(explained)})


def cache_audit_view(audit: Audit, *, stable: bool = False) -> View:
    """Build the list of hits on other texts with both of them, and the errors per judged hit.

    Args:
        audit: The hits, and what was judged of them by tier.
        stable: Leave out when they were.
    """
    title = f"Hits on other texts: {count(len(audit.hits))} of {count(audit.total)}"
    columns = ("#", "Tier", "Answered first", "Served for", "Reason", "Verdict")
    rows = [
        (hit.number, _name(hit.tier), hit.stored, hit.asked, hit.reason, _verdict(hit))
        for hit in audit.hits
    ]
    sentences = [_evidence(tier, audit.target) for tier in audit.tiers]
    html, _ = table(columns, rows, title)
    lines = [title, *(line for hit in audit.hits for line in _lines(hit, stable)), *sentences]
    facts: dict[str, Any] = {
        "hits": [asdict(hit) for hit in audit.hits],
        "total": audit.total,
        **_figures(audit.evidence, audit.target),
        "target": audit.target,
        "tiers": [
            {
                "tier": tier.tier,
                "hits": tier.hits,
                **_figures(tier.evidence, audit.target),
                "waiting": tier.waiting,
                "off": tier.off,
            }
            for tier in audit.tiers
        ],
    }
    said = "".join(f"\n<p>{markup(sentence)}</p>" for sentence in sentences)
    return view(f"{html}{said}", "\n".join(lines), facts)


def _figures(judged: Evidence, target: float) -> dict[str, Any]:
    return {
        "judged": judged.hits,
        "wrong": judged.errors,
        "errors_per_hit": judged.interval.as_dict(),
        "verdict": str(judged.verdict(target)),
    }


def _evidence(tier: TierAudit, target: float) -> str:
    judged, name = tier.evidence, _name(tier.tier)
    waiting = f"; {count(tier.waiting)} drawn and not judged" if tier.waiting else ""
    off = "; switched off" if tier.off else ""
    if not judged.hits:
        return f"Errors per hit, {name}: none was judged yet{waiting}{off}"
    low, high, verdict = judged.interval.low, judged.interval.high, judged.verdict(target)
    return (
        f"Errors per hit, {name}: {judged.errors} of {count(judged.hits)} judged, at 95 % between "
        f"{low:.2%} and {high:.2%}; at most {target:.2%}: {verdict}{waiting}{off}"
    )


def _name(tier: str) -> str:
    return tier.replace("_", "-")


def _verdict(hit: Hit) -> str:
    if hit.right is None:
        return "drawn, not judged" if hit.drawn else "not judged"
    return "right" if hit.right else "wrong"


def _lines(hit: Hit, stable: bool) -> list[str]:
    said = [_verdict(hit), _name(hit.tier), one_line(hit.reason), one_line(hit.model)]
    if not stable:
        said.append(_moment(hit.at))
    return [
        f"{hit.number}  {' · '.join(said)}",
        f"   answered first: {one_line(hit.stored, _MAX_LINE)}",
        f"   served for:     {one_line(hit.asked, _MAX_LINE)}",
    ]


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
