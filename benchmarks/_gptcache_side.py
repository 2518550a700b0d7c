"""Runs inside GPTCache's own environment: its real cache over vectors that were made elsewhere.

Knows nothing of the project. Reads ``job.json`` and ``vectors.npy`` from the folder it is given,
writes ``result.json`` there. Jobs: ``lookups`` (fill it, then time each lookup), ``stream`` (ask,
and put what was missed), ``store`` (fill it and leave the files).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from gptcache import Cache, Config
from gptcache.adapter.api import get, put
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation import SearchDistanceEvaluation

_BATCH = 500


class Given:
    """Hands over the vector of a text that came with the job: an embedding that costs nothing."""

    def __init__(self, texts: list[str], vectors: np.ndarray) -> None:
        self._vectors = dict(zip(texts, vectors, strict=True))

    def __call__(self, text: str, **_: Any) -> np.ndarray:
        return self._vectors[text]


def opened(folder: Path, given: Given, dim: int, size: int) -> Cache:
    """Return GPTCache as its documentation sets it up: SQLite, FAISS, distance, threshold .8."""
    manager = get_data_manager(
        CacheBase("sqlite", sql_url=f"sqlite:///{folder / 'sqlite.db'}"),
        VectorBase("faiss", dimension=dim, index_path=str(folder / "faiss.index")),
        max_size=10 * size,  # nothing is evicted
    )
    cache = Cache()
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=given,
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
        config=Config(),
    )
    return cache


def fill(cache: Cache, given: Given, texts: list[str]) -> None:
    """Put texts in, each with its own number as the answer."""
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        cache.data_manager.import_data(
            questions=part,
            answers=[str(start + number) for number in range(len(part))],
            embedding_datas=[given(text) for text in part],
            session_ids=[None] * len(part),
        )


def lookups(cache: Cache, given: Given, job: dict[str, Any]) -> dict[str, Any]:
    """Time every lookup: CPU of all threads of this process, and wall."""
    fill(cache, given, job["entries"])
    for text in job["queries"][: job["warm"]]:
        get(text, cache_obj=cache)
    cpu, wall, answers = [], [], []
    for text in job["queries"][job["warm"] :]:
        began, started = time.process_time_ns(), time.perf_counter_ns()
        answers.append(get(text, cache_obj=cache))
        cpu.append((time.process_time_ns() - began) / 1e6)
        wall.append((time.perf_counter_ns() - started) / 1e6)
    return {"cpu_ms": cpu, "wall_ms": wall, "answers": answers}


def stream(cache: Cache, job: dict[str, Any]) -> dict[str, Any]:
    """Ask each text in turn; what is missed is put in under its number."""
    answers = []
    for number, text in enumerate(job["requests"]):
        found = get(text, cache_obj=cache)
        answers.append(None if found is None else int(found))
        if found is None:
            put(text, str(number), cache_obj=cache)
    return {"answers": answers}


def main() -> None:
    """Do the job in the folder."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    given = Given(job["texts"], vectors)
    size = len(job.get("entries") or job["requests"])
    cache = opened(folder, given, vectors.shape[1], size)
    if job["kind"] == "lookups":
        result = lookups(cache, given, job)
    elif job["kind"] == "stream":
        result = stream(cache, job)
    else:
        fill(cache, given, job["entries"])
        result = {"answers": [get(text, cache_obj=cache) for text in job["queries"]]}
    cache.flush()
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
