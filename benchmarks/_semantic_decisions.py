"""What a decision costs: exact, near-verbatim and margin, beside GPTCache with the same vectors."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import _gptcache
import _margin_domain as margin
import _measure as measure
import _retyped
import _semantic_speed as speed
from _semantic_bench import SEED, every_question, habits

if TYPE_CHECKING:
    from _semantic_bench import Bench

_SIZES = (10_000, 100_000)


def measure_speed(report: measure.Report, at: Bench) -> None:
    """Decisions beside 10,000 and 100,000 entries."""
    found = habits(at.folder)
    rng = random.Random(SEED)
    texts = every_question(at.folder)
    sizes = (500, 2_000) if at.quick else _SIZES
    count = 120 if at.quick else 1_020
    with speed.filled() as made:
        for size in sizes:
            entries = speed.numbered(texts, size, SEED)
            made.fill(entries[made.size :])
            exact = [entries[rng.randrange(size)] for _ in range(count)]
            if size == sizes[0]:
                report.add(**speed.exact_dict(entries, exact).row("dict, exact", size))
                spent = speed.exact_hits(made, exact).row("exact hit, whole stage", size)
                report.add(**spent)
                report.targets += [
                    measure.Target("exact hit, wall p50", 0.3, spent["wall_p50_ms"], "ms"),
                    measure.Target("exact hit, CPU p50", 0.3, spent["cpu_p50_ms"], "ms"),
                ]
            again = [
                _retyped.retyped(entries[rng.randrange(size)], found, rng)[0] for _ in range(count)
            ]
            new = [f"{text.rstrip(' ?.!')} at branch {n}?" for n, text in enumerate(texts[-count:])]
            near: dict[str, float] = {}
            for kind, asked in (("again", again), ("new", new)):
                spent = speed.near_decisions(made, asked).row(f"near-verbatim, {kind}", size)
                report.add(**spent)
                near[kind] = spent["cpu_p50_ms"]
            if size == sizes[0]:
                _beside(report, at, entries, again + new, count, near)
    if at.python is None:
        report.notes.append("GPTCache was left out")


def _beside(
    report: measure.Report, at: Bench, entries: list[str], asked: list[str], count: int,
    near: dict[str, float],
) -> None:  # fmt: skip
    """The margin tier's mathematics and GPTCache's lookups, for the same texts and vectors."""
    size = len(entries)
    groups = [str(number // margin.WORDINGS) for number in range(size)]
    partition = margin.filled(entries, at.embed, groups)
    queries = list(zip(map(margin.gate_of, asked), at.embed(asked), strict=True))
    row = speed.margin_decisions(partition, queries).row("margin: lead, vote, gates", size)
    report.add(**row)
    both = near["new"] + row["cpu_p50_ms"]  # only what the rule leaves comes to the margin tier
    for what, got in (
        ("near-verbatim, asked again", near["again"]), ("near-verbatim, new", near["new"]),
        ("near-verbatim, new, then margin", both),
    ):  # fmt: skip
        report.targets.append(
            measure.Target(f"{what}: CPU p50 beside {size:,} entries", 1.0, got, "ms")
        )
    if at.python is None:
        return
    job = {"kind": "lookups", "entries": entries, "queries": [*asked[:20], *asked], "warm": 20}
    result = _gptcache.run(at.python, job, at.embed)
    theirs: dict[str, float] = {}
    for kind, part in (("again", slice(0, count)), ("new", slice(count, None))):
        answers = result["answers"][part]
        cpu, wall = result["cpu_ms"][part], result["wall_ms"][part]
        theirs[kind] = measure.percentile(cpu, 0.5)
        report.add(
            what=f"GPTCache without its embedding, {kind}", entries=size, lookups=len(cpu),
            hits=sum(answer is not None for answer in answers), cpu_p50_ms=theirs[kind],
            cpu_p99_ms=measure.percentile(cpu, 0.99), wall_p50_ms=measure.percentile(wall, 0.5),
            wall_p99_ms=measure.percentile(wall, 0.99),
        )  # fmt: skip
    for what, got in (
        ("near-verbatim, asked again", theirs["again"] / near["again"]),
        ("near-verbatim, new", theirs["new"] / near["new"]),
        ("near-verbatim, new, then margin", theirs["new"] / both),
    ):
        report.targets.append(
            measure.Target(f"GPTCache's CPU by ours, {what}", 9.0, got, "times", at_least=True)
        )
