"""The semantic cache beside GPTCache and an exact dict: cost of a decision, and wrong answers.

One run: exact hits, decisions beside 10,000 and 100,000 entries, the margin tier's mathematics and
GPTCache's lookups with the same vectors; then streams of questions drawn from the bank, Banking77
and Bitext through every policy, GPTCache's default among them, with its real code. `--only` picks a
part, ``--no-peer`` leaves GPTCache out; its environment is made once, in ``.envs/gptcache``.

Needs the public data folder (``../shared/data`` from the project's root, or ``LLMOPS_DATA``).
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _gptcache
import _in_path
import _margin_domain as margin
import _measure as measure
import _retyped
import _semantic_speed as speed
import _streams as streams
import bench_cache
import numpy as np
from _rewrites import light

from llmops_kernel.cache.importers.answers import keep
from llmops_kernel.cache.importers.gptcache import read
from llmops_kernel.cache.semantic.eligibility import eligible_text
from llmops_kernel.cache.semantic.evaluate import Pair, evaluate
from llmops_kernel.cache.semantic.strict import StrictTier
from llmops_kernel.embed import builtin
from llmops_kernel.labs.retyping import retyped as lab_retyped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_SEED = 20_262
_SIZES = (10_000, 100_000)
_PEER_SEEDS = 2  # streams of each source that go through GPTCache: it takes seconds for each
_COSINES = (0.6, 0.8, 0.9, 0.95)
_PARTS = ("speed", "streams", "rewrites", "margin", "import")
_COLUMNS = (
    "what", "source", "entries", "requests", "hits", "wrong", "open", "err_per_hit", "low", "high",
    "hit_rate", "recall", "light", "wordings", "near_misses_wrong", "cpu_p50_ms", "cpu_p99_ms",
    "wall_p50_ms",
)  # fmt: skip


class Vectors:
    """The built-in embedder's vectors, each made once; kept in a file where one is named."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.exists():
            kept = np.load(file, allow_pickle=False)
            self._known = dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, shape (texts, 384)."""
        for text in texts:
            if text not in self._known:
                self._known[text] = builtin().embed_query(text)
        return np.stack([self._known[text] for text in texts])

    def one(self, text: str) -> NDArray[np.float32]:
        """Return one text's vector."""
        vector: NDArray[np.float32] = self([text])[0]
        return vector

    def keep(self) -> None:
        """Write them down for the next run."""
        if self._file is not None:
            vectors = np.stack(list(self._known.values()))
            np.savez(self._file, texts=np.array(list(self._known)), vectors=vectors)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part works with; `python` is GPTCache's, None without it."""

    folder: Path
    embed: Vectors
    quick: bool
    python: Path | None


def habits(folder: Path) -> _retyped.Habits:
    """Gather what people type from every public set of questions."""
    vocabulary = Path(str(bench_cache.files("llmops_kernel.embed").joinpath("minilm/vocab.txt")))
    known = frozenset(vocabulary.read_text(encoding="utf-8").split("\n"))
    names = ("banking77", "clinc150", "halueval", "bitext")
    texts = [text for name in names for text, _ in bench_cache.SETS[name](folder)]
    return _retyped.gather(texts, known.__contains__)


def every_question(folder: Path) -> list[str]:
    names = ("banking77", "bitext", "clinc150")
    return list(dict.fromkeys(t for name in names for t, _ in bench_cache.SETS[name](folder)))


def measure_speed(report: measure.Report, at: Bench) -> None:
    """Decisions beside 10,000 and 100,000 entries."""
    found = habits(at.folder)
    rng = random.Random(_SEED)
    texts = every_question(at.folder)
    sizes = (500, 2_000) if at.quick else _SIZES
    count = 120 if at.quick else 1_020
    with speed.filled() as made:
        for size in sizes:
            entries = speed.numbered(texts, size, _SEED)
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
            rng = random.Random(_SEED)
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
    rng = random.Random(_SEED)
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


def measure_import(report: measure.Report, at: Bench) -> None:
    """A store that GPTCache itself has filled, brought over and asked again."""
    if at.python is None:
        report.notes.append("The import was left out with GPTCache")
        return
    texts = every_question(at.folder)[: 100 if at.quick else 2_000]
    job = {"kind": "store", "entries": texts, "queries": texts[:5]}
    with tempfile.TemporaryDirectory() as name, speed.filled() as made:
        path = Path(name) / "sqlite.db"
        _gptcache.run(at.python, job, at.embed, keep=path)
        contents = read(path)
        context = made.session.context(target=made.target)
        began = time.process_time_ns()
        done = made.loop.run_until_complete(
            keep(contents.rows, made.cache, made.target, context, made.request)
        )
        spent = (time.process_time_ns() - began) / 1e6 / len(contents.rows)
        allowed = [row for row in contents.rows if eligible_text(row.question).ok]
        served = speed.served_texts(made, [row.question for row in allowed])
    same = sum(text == row.answer for text, row in zip(served, allowed, strict=True))
    report.add(
        what="import of a store that GPTCache filled, asked again", entries=len(contents.rows),
        requests=len(allowed), hits=same, wrong=len(allowed) - same, cpu_p50_ms=spent,
        kept=done.kept, skipped=dict(contents.skipped), not_kept=dict(done.skipped),
    )  # fmt: skip


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument(
        "--only", choices=_PARTS, help="one part, in place of the one in the results"
    )
    parser.add_argument("--vectors", type=Path, metavar="FILE", help="keep vectors in this file")
    parser.add_argument("--no-peer", action="store_true", help="leave GPTCache out")
    options = parser.parse_args()
    folder = bench_cache.data_folder()
    if not folder.is_dir():
        sys.exit(f"the public data folder is not there: {folder}")
    python = None if options.no_peer else _gptcache.make()
    at = Bench(folder, Vectors(options.vectors), options.quick, python)
    report = measure.Report(
        "semantic",
        "Semantic cache: cost of a decision and wrong answers, beside GPTCache and a dict",
        _COLUMNS,
        ("numpy", "onnxruntime"),
        setup={
            "seed": _SEED,
            "embedder": builtin().id,
            "stream length": streams.LENGTH,
            "measured": {},
        },
        peers={"gptcache": _gptcache.VERSION} if python else {},
    )
    parts: dict[str, Callable[[measure.Report, Bench], None]] = {
        "speed": measure_speed, "streams": measure_streams, "rewrites": measure_rewrites,
        "margin": measure_margin, "import": measure_import,
    }  # fmt: skip
    if options.only is not None and not options.quick:
        _take_over(report, options.only)
    for name, part in parts.items():
        if options.only not in (None, name):
            continue
        rows, targets = len(report.rows), len(report.targets)
        part(report, at)
        at.embed.keep()
        for row in report.rows[rows:]:
            row["part"] = name
        report.targets[targets:] = [
            replace(target, what=f"{name}: {target.what}") for target in report.targets[targets:]
        ]
        load = [round(each, 1) for each in os.getloadavg()]
        report.setup["measured"][name] = {
            "date": datetime.now(UTC).date().isoformat(), "load average": load,
        }  # fmt: skip
    report.finish(options)


def _take_over(report: measure.Report, renewed: str) -> None:
    """Take what was measured before of the other parts: all of them together take an hour."""
    file = measure.RESULTS / f"{report.name}.json"
    if not file.exists():
        return
    kept = json.loads(file.read_text(encoding="utf-8"))
    report.rows += [row for row in kept["rows"] if row["part"] != renewed]
    for target in kept["targets"]:
        target.pop("met")
        if not target["what"].startswith(f"{renewed}: "):
            report.targets.append(measure.Target(**target))
    report.setup["measured"] = kept["setup"]["measured"]


if __name__ == "__main__":
    main()
