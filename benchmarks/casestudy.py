"""The bank's bill: what caching, routing, compression and prompt caching save, and what they cost.

Seeded days of traffic (about 40 % of the requests were asked before, near misses among them) go
through real sessions against simulated models at real prices. Every set of levers is played, none
to all; a provider's prompt cache changes no answer and is priced on the calls of a play. How much
to compress and what goes to the small model is decided on other days than those that are reported.

Declared, not measured: the seconds of the models, and how often the small one is wrong.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure

from llmops_kernel import Session
from llmops_kernel.embed import builtin
from llmops_kernel.labs import bank, traffic
from llmops_kernel.labs.casestudy import levers as lever
from llmops_kernel.labs.casestudy.article import claims
from llmops_kernel.labs.casestudy.desk import Desk
from llmops_kernel.labs.casestudy.figures import difference, figures, non_inferior, waterfall
from llmops_kernel.labs.casestudy.levers import LARGE, LEVERS, MARGIN, SMALL, Means, plays_needed
from llmops_kernel.labs.casestudy.meaning import Meaning
from llmops_kernel.labs.casestudy.play import play, priced
from llmops_kernel.labs.casestudy.prepare import learn_route, shortest_accepted, try_compressors
from llmops_kernel.labs.casestudy.quality import is_beyond_small
from llmops_kernel.labs.casestudy.shapley import coalitions
from llmops_kernel.prompts.compress import Compressor
from llmops_kernel.settings import RouteSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.labs.casestudy.figures import Figures
    from llmops_kernel.labs.casestudy.play import Served
    from llmops_kernel.labs.traffic import Request
    from llmops_kernel.prompts.compress.ranking import Rank

    Plays = dict[frozenset[str], list[Served]]

RATES = traffic.Rates(again=0.04, repeat=0.08, popularity=0.0)
SIZE, DAYS = 500, (11, 12, 13)
TRIED_ON, LEARNED_FROM = (1, 2), (1, 2, 3, 4)  # earlier days
# Of the three points that all levers together may lose, each of the two that can lose any has half.
MARGIN_EACH = 0.015
QUICK_SIZE, QUICK_DAYS = 120, (11,)
ALL = frozenset(LEVERS)
PRICES = ("Moorhen price list 2026",)


def _tried(rank: Rank) -> dict[str, Compressor]:
    """Return the compressors to try, the gentlest first."""
    moved = Compressor(tables=True, row_rank=rank)
    kept = replace(moved, keep_tables=PRICES)
    return {
        "repetition": Compressor(),
        "and tables but the price list": kept,
        "the same, to 3,200 tokens": replace(kept, to=3_200),
        "the same, to 2,900 tokens": replace(kept, to=2_900),
        "and all tables": moved,
        "the same, to 2,600 tokens (all tables)": replace(moved, to=2_600),
    }


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    options = parser.parse_args()
    size, days = (QUICK_SIZE, QUICK_DAYS) if options.quick else (SIZE, DAYS)
    report = measure.Report(
        "casestudy",
        "What does each lever save of the bank's bill, and is the quality proved unchanged?",
        ("levers", "usd", "saved", "hits", "near", "small", "p50_s", "p95_s", "tokens", "told",
         "reachable", "told_change", "reachable_change"),
        packages=("numpy", "scikit-learn", "onnxruntime", "genai-prices"),
        setup={"requests_a_day": size, "days": list(days), "large": LARGE, "small": SMALL,
               "earlier_days": {"compressor": list(TRIED_ON), "route": list(LEARNED_FROM)}},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        session = Session(store=f"sqlite:///{folder}/desk.db")
        try:
            desk = Desk(session)
            means = _prepared(desk, Path(folder), report, size)
            traffic_days = [traffic.draw_day(size, seed=seed, rates=RATES) for seed in days]
            plays = _played(traffic_days, desk, means, report)
        finally:
            session.close()
    _compare(report, plays, traffic_days)
    report.finish(options)


def _prepared(desk: Desk, folder: Path, report: measure.Report, size: int) -> Means:
    """Choose the compressor and learn the route, on days that are not reported."""
    tried = try_compressors(
        _past(TRIED_ON, size), desk, _tried(Meaning(builtin())), margin=MARGIN_EACH
    )
    chosen = shortest_accepted(tried)
    report.setup["compressors"] = [
        {
            "name": each.name,
            "tokens": round(each.tokens),
            "verdict": each.acceptance.verdict,
            "facts_in_prompt_change": _interval(each.acceptance.gate.metrics[0].delta),
        }
        for each in tried
    ]
    report.setup["compressor"] = chosen.name
    path = folder / "desk.json"
    learned = learn_route(
        _past(LEARNED_FROM, size), builtin(), path, small=SMALL, large=LARGE,
        target_loss=MARGIN_EACH,
    )  # fmt: skip
    report.setup["route"] = {
        "learned_from": learned.saved.evidence["rows"],
        "threshold": round(learned.line.threshold, 4),
        "share_small_expected": round(learned.line.share, 3),
        "loss_expected": round(learned.line.loss, 4),
        "notes": list(learned.notes),
    }
    _say(f"compressor: {chosen.name}; route: {report.setup['route']}")
    return Means(chosen.compressor, RouteSettings(kind="learned", file=str(path)))


def _past(seeds: tuple[int, ...], size: int) -> list[Request]:
    return [each for seed in seeds for each in traffic.draw_day(size, seed=seed, rates=RATES)]


def _played(days: list[list[Request]], desk: Desk, means: Means, report: measure.Report) -> Plays:
    plays: Plays = {}
    for chosen in plays_needed():
        plays[chosen] = [each for day in days for each in play(day, desk, chosen, means)]
        _say(f"played {', '.join(sorted(chosen)) or 'none'}")
    without = ALL - {lever.PREFIX}
    margin = [each for day in days for each in play(day, desk, without, means)]
    served = sum(each.tier == "margin" for each in margin)
    report.setup["margin_tier"] = {
        "hits": served,
        "state": "on" if served else "not enough evidence",
    }
    if served:
        plays[without] = margin
        for chosen in plays_needed():
            if lever.CACHE in chosen and chosen | {MARGIN} != without:
                plays[chosen | {MARGIN}] = [
                    each for day in days for each in play(day, desk, chosen | {MARGIN}, means)
                ]
    return plays


def _compare(report: measure.Report, plays: Plays, days: list[list[Request]]) -> None:
    answers = {each.id: each.answer for each in bank.questions()}
    everything = {each: priced(plays, each) for each in coalitions(LEVERS)}
    cost = {each: sum(one.cost_nano for one in served) / 1e9 for each, served in everything.items()}
    before = everything[frozenset()]
    shown = [frozenset(), *(frozenset({each}) for each in LEVERS), ALL]
    told: dict[frozenset[str], Figures] = {}
    for chosen in shown:
        served = everything[chosen]
        told[chosen] = found = figures(served, answers)
        changes = {
            "told_change": difference(before, served, lambda each: each.told),
            "reachable_change": difference(before, served, lambda each: each.reachable),
        }
        name = "all" if chosen == ALL else next(iter(chosen), "none")
        report.add(
            levers=name, usd=found.usd, saved=1 - found.usd / told[frozenset()].usd,
            hits=found.hit_rate, near=found.hits.get("near_verbatim", 0.0), small=found.small,
            p50_s=found.p50_s, p95_s=found.p95_s, tokens=found.prompt_tokens, told=found.told,
            reachable=found.reachable, figures=found.as_dict(),
            **{key: _told(value) for key, value in changes.items()},
            intervals={key: _interval(value) for key, value in changes.items()},
        )  # fmt: skip
    shares = waterfall(LEVERS, cost)
    report.setup["shapley_usd"] = {name: round(usd, 4) for name, usd in shares.items()}
    report.setup["alone_usd"] = {
        each: round(cost[frozenset()] - cost[frozenset({each})], 4) for each in LEVERS
    }
    report.setup["cost_by_levers_usd"] = {
        " + ".join(sorted(each)) or "none": round(usd, 4) for each, usd in cost.items()
    }
    for name, usd in shares.items():
        report.notes.append(
            f"{name}: ${usd:.2f} by Shapley, ${report.setup['alone_usd'][name]:.2f} alone"
        )
    repeats = _repeats(days)
    report.setup["asked_before"] = round(repeats, 4)
    first, last = told[frozenset()], told[ALL]
    report.setup["article"] = [
        {"claim": each.claim, "found": each.found, "reached": each.reached, "meaning": each.meaning}
        for each in claims(first, last, repeats)
    ]
    for each in claims(first, last, repeats):
        said = "reached" if each.reached else "NOT reached"
        report.notes.append(f"article: {each.claim}: {each.found}, {said}; {each.meaning}")
    _weaker(report, before, everything[ALL])
    _unseen(report, before, everything[ALL], len(days[0]))
    hits = told[frozenset({lever.CACHE})]
    _hold(report, first, last, before, everything[ALL], cost, shares)
    for what, value in (("wall", hits.hit_p50_s), ("CPU", hits.hit_cpu_p50_s)):
        report.targets.append(
            measure.Target(f"a hit of the cache alone, median {what}", 5, 1e3 * (value or 0), "ms")
        )
    report.notes.append(
        f"with a learned route a hit takes {1e3 * (last.hit_p50_s or 0):.1f} ms wall and "
        f"{1e3 * (last.hit_cpu_p50_s or 0):.1f} ms CPU: the route embeds each question first"
    )


def _hold(
    report: measure.Report,
    first: Figures,
    last: Figures,
    before: list[Served],
    after: list[Served],
    cost: Mapping[frozenset[str], float],
    shares: Mapping[str, float],
) -> None:
    saved = 1 - last.usd / first.usd
    report.targets.append(
        measure.Target("cost down, all levers", 60, 100 * saved, "%", at_least=True)
    )
    for what, name in (("told", "answers with all key facts"),
                       ("reachable", "answers whose prompt held all key facts")):  # fmt: skip
        change = difference(before, after, lambda each, what=what: bool(getattr(each, what)))
        report.targets.append(
            measure.Target(
                f"{name}, lower bound of the change", -3, 100 * change.low, "points", at_least=True
            )
        )
        report.notes.append(f"{name}: {_told(change)}, {non_inferior(change)}")
    gap = abs(sum(shares.values()) - (cost[frozenset()] - cost[ALL]))
    report.targets.append(measure.Target("Shapley values against all saved", 1e-6, gap, "$"))


def _weaker(report: measure.Report, before: list[Served], after: list[Served]) -> None:
    """Say what becomes of the quality if the small model is weaker than was declared."""
    known = {each.id: each for each in bank.questions()}

    def still(each: Served, scale: float) -> bool:
        beyond = "mini" in each.model and is_beyond_small(known[each.source], scale)
        return each.reachable and not beyond

    for scale in (2.0, 3.0):
        change = difference(before, after, lambda each, scale=scale: still(each, scale))
        report.notes.append(
            f"if the small model is {scale:g} times as weak: prompts with facts and a model up to "
            f"it {_told(change)}, {non_inferior(change)}"
        )
        report.setup[f"reachable_change_if_{scale:g}_times_as_weak"] = _interval(change)


def _unseen(report: measure.Report, before: list[Served], after: list[Served], size: int) -> None:
    """Say how the route does on questions that none of the days it was learned from had."""
    known = {each.question_id for each in _past(LEARNED_FROM, size)}
    pairs = [
        (one, other)
        for one, other in zip(before, after, strict=True)
        if other.request.question_id not in known
    ]
    share = 1 - len(pairs) / len(after)
    report.setup["questions_seen_on_earlier_days"] = round(share, 4)
    told = f"{share:.0%} of the requests are about questions that the route's earlier days had"
    if len({other.request.question_id for _, other in pairs}) > 1:
        change = difference(
            [one for one, _ in pairs], [other for _, other in pairs], lambda each: each.reachable
        )
        told += f"; on the other {len(pairs)}: {_told(change)}, {non_inferior(change)}"
        report.setup["reachable_change_on_unseen_questions"] = _interval(change)
    report.notes.append(told)


def _repeats(days: list[list[Request]]) -> float:
    shares = [
        sum(row.share for row in traffic.summarize(day, RATES) if row.what.startswith("asked"))
        for day in days
    ]
    return sum(shares) / len(shares)


def _interval(interval: Any) -> dict[str, float] | None:
    if interval is None:
        return None
    return {
        "change": round(interval.estimate, 4),
        "low": round(interval.low, 4),
        "high": round(interval.high, 4),
    }


def _told(interval: Any) -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.estimate:+.1f} points [{low:+.1f}, {high:+.1f}]"


_STARTED = time.monotonic()


def _say(text: str) -> None:
    import sys

    sys.stderr.write(f"{time.monotonic() - _STARTED:6.0f} s  {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
