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
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import _gptcache
import _measure as measure
import _semantic_speed as speed
import _streams as streams
import bench_cache
from _semantic_bench import SEED, Bench, Vectors, every_question
from _semantic_decisions import measure_speed
from _semantic_quality import measure_margin, measure_rewrites, measure_streams

from llmops_kernel.cache.importers.answers import keep
from llmops_kernel.cache.importers.gptcache import read
from llmops_kernel.cache.semantic.eligibility import eligible_text
from llmops_kernel.embed import builtin

if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS = ("speed", "streams", "rewrites", "margin", "import")
_COLUMNS = (
    "what", "source", "entries", "requests", "hits", "wrong", "open", "err_per_hit", "low", "high",
    "hit_rate", "recall", "light", "wordings", "near_misses_wrong", "cpu_p50_ms", "cpu_p99_ms",
    "wall_p50_ms",
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
            "seed": SEED,
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
