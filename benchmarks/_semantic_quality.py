"""What is served and what is wrong: streams through every policy, rewrites, closed domains."""

from __future__ import annotations

import random
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import _gptcache
import _in_path
import _margin_domain as margin
import _measure as measure
import _retyped
import _semantic_speed as speed
import _streams as streams
import bench_cache
from _rewrites import light
from _semantic_bench import SEED, habits

from llmops_kernel.cache.semantic.eligibility import eligible_text
from llmops_kernel.cache.semantic.evaluate import Pair, evaluate
from llmops_kernel.cache.semantic.strict import StrictTier
from llmops_kernel.labs.retyping import retyped as lab_retyped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _semantic_bench import Bench

_PEER_SEEDS = 2  # streams of each source that go through GPTCache: it takes seconds for each
_COSINES = (0.6, 0.8, 0.9, 0.95)


def measure_streams(report: measure.Report, at: Bench) -> None:
    """Every policy on the same streams, each with a cache of its own."""
    found = habits(at.folder)
    seeds = range(100, 101) if at.quick else range(100, 106)
    total: dict[str, streams.Count] = {}
    strict = StrictTier(embed=at.embed.one)
    same = compared = 0
    with speed.filled() as made:
        for name, load in streams.SOURCES.items():
            source = load(at.folder, at.embed)
            counts: dict[str, streams.Count] = {}
            for seed in seeds:
                drawn = streams.stream(source, found, seed, streams.LENGTH)
                served, tiers = _in_path.by_production(made, drawn, f"{name}-{seed}")
                assert {*tiers} <= {"", "exact", "near_verbatim"}
                vectors = at.embed([request.asked.text for request in drawn])
                policies = {"exact": streams.by_text(drawn), "near-verbatim": served}
                policies["near-verbatim + strict"] = streams.by_tiers(drawn, vectors, strict)
                for least in _COSINES:
                    policies[f"cosine {least}"] = streams.by_cosine(drawn, vectors, least)
                if at.python is not None and seed in seeds[:_PEER_SEEDS]:
                    job = {"kind": "stream", "requests": [each.asked.text for each in drawn]}
                    theirs = _gptcache.run(at.python, job, at.embed)["answers"]
                    policies["GPTCache"] = theirs
                    same += theirs == policies["cosine 0.6"]
                    compared += 1
                for policy, given in policies.items():
                    counts.setdefault(policy, streams.Count()).take(drawn, given)
            for policy, count in counts.items():
                report.add(what=policy, **_without(count.row(policy, name), "policy"))
                total[policy] = total.get(policy, streams.Count()) + count
    for policy, count in total.items():
        report.add(what=policy, **_without(count.row(policy, "all"), "policy"))
    if compared:
        report.setup["streams that GPTCache serves as cosine 0.6 does"] = f"{same} of {compared}"
    near = total["near-verbatim"]
    row = near.row("near-verbatim", "all")
    for stored, asked in near.bad[:20]:
        print(f"wrong: {stored!r} / {asked!r}", file=sys.stderr)
    report.targets += [
        measure.Target("near-verbatim in streams: errors per hit, upper bound", 0.01,
                       row["high"], ""),
        measure.Target("the same with open hits as wrong", 0.01, row["open_as_wrong_high"], ""),
        measure.Target("light rewrites served in streams", 0.7, row["light"], "", at_least=True),
    ]  # fmt: skip


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def measure_rewrites(report: measure.Report, at: Bench) -> None:
    """Light rewrites by three makers, and Bitext's own noise: how many are served."""
    found = habits(at.folder)
    makers: dict[str, Callable[[str, random.Random], str]] = {
        "rewrites the rule was tuned with": lambda text, rng: light(text, rng)[0],
        "second maker, from what people typed": lambda t, rng: _retyped.retyped(t, found, rng)[0],
        "the lab's traffic": lambda text, rng: lab_retyped(text, rng, lambda made: made == text),
    }
    count = 100 if at.quick else 1_000
    for what, make in makers.items():
        every: list[Pair] = []
        for name in streams.SOURCES:
            rng = random.Random(SEED)
            texts = [text for text, _ in bench_cache.SETS[name](at.folder)]
            pairs = [Pair(t, make(t, rng), True) for t in rng.sample(texts, min(count, len(texts)))]
            _recall_row(report, what, name, pairs)
            every += pairs
        _recall_row(report, what, "all", every)
        may = [pair for pair in every if eligible_text(pair.a).ok]
        _recall_row(report, what, "all that may be reused", may)
    _recall_row(report, "typed noise of its authors", "bitext", noisy(at.folder))


def _recall_row(report: measure.Report, what: str, source: str, pairs: list[Pair]) -> None:
    result = evaluate(pairs)
    missed = sorted(result.missed.items(), key=lambda item: -item[1])[:6]
    report.add(
        what=what, source=source, requests=len(pairs), hits=result.evidence.hits, wrong=0,
        light=result.recall, missed=dict(missed),
    )  # fmt: skip


def noisy(folder: Path) -> list[Pair]:
    """Bitext's utterances with noise beside the clean one of the same intent they come from."""
    rows = bench_cache.bitext_rows(folder)
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if "Z" not in row["tags"]:
            name = (row["intent"], row["entity_value"])
            groups.setdefault(name, []).append(row["utterance"])
    return [
        Pair(clean, row["utterance"], True)
        for row in rows
        if "Z" in row["tags"]
        for clean in groups.get((row["intent"], row["entity_value"]), ())
        if _one_letter_apart(clean, row["utterance"])
    ]


def _one_letter_apart(a: str, b: str) -> bool:
    one, other = (("".join(c for c in t.lower() if c.isalnum())) for t in (a, b))
    if abs(len(one) - len(other)) > 1:
        return False
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    swapped = one[at : at + 2] == other[at : at + 2][::-1] and one[at + 2 :] == other[at + 2 :]
    plain = (one[at + 1 :], other[at + 1 :], one[at:], other[at:])
    return swapped or plain[0] == plain[1] or plain[0] == plain[3] or plain[1] == plain[2]


def measure_margin(report: measure.Report, at: Bench) -> None:
    """A closed domain with 20 wordings an answer: calibrated on one half, measured on the other."""
    banking = streams.all_of_banking77(at.folder)
    bitext = streams.bitext(at.folder, at.embed)
    rng = random.Random(SEED)
    exact = [each for each in bitext.questions if each.key == each.about]
    near = [other for each in rng.sample(exact, 400) if (other := bitext.near(each, rng))]
    seeds = (1,) if at.quick else (1, 2, 3)
    domains: dict[str, Callable[..., dict[str, Any]]] = {
        "banking77": partial(margin.measure_domain, banking, "about", at.embed),
        "banking77, 20 answers never cached": partial(
            margin.measure_domain, banking, "about", at.embed, unseen=20
        ),
        "bitext, other entities asked": partial(
            margin.measure_domain, bitext.questions, "about", at.embed, near=near
        ),
    }
    for name, run in domains.items():
        for gates in ("nearest", "group"):
            rows = [run(seed=seed, gates=gates) for seed in seeds]
            hits, wrong = (sum(row[each] for row in rows) for each in ("hits", "wrong"))
            share = margin.wilson(wrong, hits)
            recall = measure.Figure.of([row["recall"] for row in rows])
            report.add(
                what=f"margin at 2 %, gates on the {gates}", source=name,
                entries=rows[0]["entries"], requests=sum(row["lookups"] for row in rows),
                hits=hits, wrong=wrong, err_per_hit=share.value, low=share.low, high=share.high,
                wordings=recall.median, draws=rows,
            )  # fmt: skip
            if name == "banking77":
                report.targets.append(
                    measure.Target(f"re-wordings served, gates on the {gates}", 0.4,
                                   recall.median, "", at_least=True)
                )  # fmt: skip
