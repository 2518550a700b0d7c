"""What an index of 100,000 chunks costs to ask, and what it holds in memory.

Each phase is a process of its own, so that asking is measured without what building has left:
``_retrieval_size.py build|query FOLDER COUNT`` prints what it measured, as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import _measure as measure
import numpy as np
import psutil
from _retrieval_parts import library, timed

from llmops_kernel.embed import builtin
from llmops_kernel.rag.documents import Document, Passage, make_chunks
from llmops_kernel.rag.record import Change

_LARGE, _LARGE_QUICK = 100_000, 2_000
_PER_DOCUMENT = 50


def build_large(home: Path, count: int) -> dict[str, float]:
    """Write an index of random vectors and made-up words, and fill its store."""
    random = np.random.default_rng(7)
    words = np.array([_word(number) for number in range(20_000)])
    weights = 1 / np.arange(1, len(words) + 1)
    sums = np.cumsum(weights / weights.sum())
    began = time.perf_counter()
    with library(home) as own:
        index = own.create("large")
        for first in range(0, count, 5_000):
            changes = [
                _document(number, random, words, sums)
                for number in range(first // _PER_DOCUMENT, (first + 5_000) // _PER_DOCUMENT)
                if number * _PER_DOCUMENT < count
            ]
            index.record.write(changes)
            index.catch_up()
    return {"seconds": time.perf_counter() - began}


def _document(number: int, random: Any, words: Any, sums: Any) -> Change:
    drawn = words[np.searchsorted(sums, random.random((_PER_DOCUMENT, 60)))]
    lines = [" ".join(row) for row in drawn]
    passages, at = [], 0
    for line in lines:
        passages.append(Passage(at, at + len(line)))
        at += len(line) + 1
    document = Document(f"{number:05}.txt", "\n".join(lines), title=f"Document {number}")
    chunks = make_chunks(document, passages)
    vectors = random.standard_normal((len(chunks), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    own = {chunk.chunk_id: row for chunk, row in zip(chunks, vectors, strict=True)}
    return Change(document, chunks, own, "", "", "")


def _word(number: int) -> str:
    syllables = ("ka", "lo", "mi", "ten", "ru", "sha", "vo", "pel", "dor", "nix")
    return "".join(syllables[int(digit)] for digit in f"{number:05}")


def query_large(home: Path, asked: int) -> dict[str, float]:
    """Search the index from a process that did not build it."""
    process = psutil.Process()
    random = np.random.default_rng(11)
    with library(home) as own:
        index = own.open("large")
        before = process.memory_info().rss
        builtin().embed_query("warm")
        model = process.memory_info().rss
        _, first, _ = timed(lambda: index.retriever.search(_word(1)))
        wall, cpu = [], []
        for _ in range(asked):
            question = " ".join(_word(int(n)) for n in random.zipf(1.3, 8) % 20_000)
            found, one_wall, one_cpu = timed(
                lambda question=question: index.retriever.search(question)
            )
            assert len(found) == 5
            wall.append(one_wall * 1e3)
            cpu.append(one_cpu * 1e3)
        after = process.memory_info().rss
    return {
        "first_s": first,
        "p50": measure.percentile(wall, 0.5),
        "p95": measure.percentile(wall, 0.95),
        "cpu_p50": measure.percentile(cpu, 0.5),
        "cpu_p95": measure.percentile(cpu, 0.95),
        "rss_mb": after / 2**20,
        "index_mb": (after - model) / 2**20,
        "start_mb": before / 2**20,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure_large(report: measure.Report, options: Any) -> None:
    count = _LARGE_QUICK if options.quick else _LARGE
    with tempfile.TemporaryDirectory() as home:
        built = _phase("build", home, count)
        # The first process builds BM25 and keeps it, the second finds it: what a restart costs.
        _phase("query", home, 5)
        asked = _phase("query", home, 50 if options.quick else 300)
        size = sum(file.stat().st_size for file in Path(home).rglob("*") if file.is_file())
    report.add(**{
        "what": "large", "how": "hybrid", "chunks": count, "query p50 ms": asked["p50"],
        "query p95 ms": asked["p95"], "CPU p50 ms": asked["cpu_p50"],
        "CPU p95 ms": asked["cpu_p95"], "RSS MB": asked["rss_mb"],
        "chunks/s": count / built["seconds"],
    })  # fmt: skip
    report.notes.append(
        f"large: {size / 2**20:,.0f} MB on disk; first search {asked['first_s']:.2f} s; RSS "
        f"{asked['start_mb']:,.0f} MB at the start, +{asked['index_mb']:,.0f} MB for the index, "
        f"peak {asked['peak_mb']:,.0f} MB"
    )
    report.targets.append(
        measure.Target(f"query CPU p95 over {count:,} chunks", 100.0, asked["cpu_p95"], "ms")
    )


def _phase(name: str, home: str, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, name, home, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    _run = {"build": build_large, "query": query_large}[sys.argv[1]]
    print(json.dumps(_run(Path(sys.argv[2]), int(sys.argv[3]))))
