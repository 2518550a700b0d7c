"""How fast a judge's run is, and how well the offline judge agrees with people.

Speed: the triad of a set of samples over a judge that answers after 200 ms, against the ideal
(calls x latency / concurrency) and against a plain aiohttp client that sends the same number of
requests; CPU time of the whole process per call, with trace, ledger and journal on.

Agreement: the offline heuristics on public sets of labelled answers. Without ``--quick`` the
figures are written to the package, which shows them beside its scores.
"""

from __future__ import annotations

import asyncio
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure
import aiohttp

from llmops_kernel import Session
from llmops_kernel.judge.judges import OfflineJudge, judge_of
from llmops_kernel.judge.metrics import Triad, metrics_of
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample
from llmops_kernel.judge.stats import detection, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

_LATENCY_S = 0.2
_ANSWERS = 1_500  # embedding more takes minutes and changes nothing
_DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[2] / "shared" / "data"))
_MEASURED = (
    Path(__file__).parents[1] / "llmops_kernel" / "judge" / "judges" / "offline_measured.json"
)
_PASSAGES = tuple(f"Passage {n}: " + "The fee of a card is 5 EUR and it is blue. " * 8
                  for n in range(3))  # fmt: skip


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--only", choices=("speed", "agreement"), help="leave out the other part")
    options = parser.parse_args()
    report = measure.Report(
        "judge",
        "How fast is a run of a judge, and how well does the offline judge agree with people?",
        ("what", "n", "wall_s", "ideal_s", "ratio", "plain_ratio", "cpu_ms", "balanced_accuracy",
         "auc", "accuracy"),
        packages=("aiohttp", "numpy", "onnxruntime"),
        setup={"latency_s": _LATENCY_S, "calls_per_sample": 1},
    )  # fmt: skip
    if options.only != "agreement":
        speed(report, rounds=1 if options.quick else 3)
    found = agreement(report) if options.only != "speed" else {}
    if found and not options.quick:
        _MEASURED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    options.quick = options.quick or options.only is not None  # half a report replaces no whole one
    report.finish(options)


# ---- speed --------------------------------------------------------------------------------------


def speed(report: measure.Report, rounds: int) -> None:
    with _judge() as url:
        for concurrency in (16, 64):
            calls = 10 * concurrency
            ideal = calls * _LATENCY_S / concurrency
            plain = [asyncio.run(_plain(url, calls, concurrency)) / ideal for _ in range(rounds)]
            walls, cpus = [], []
            for _ in range(rounds):
                wall, cpu = _ours(url, calls, concurrency)
                walls.append(wall)
                cpus.append(1_000 * cpu / calls)
            wall, cpu = measure.Figure.of(walls), measure.Figure.of(cpus)
            ratio = wall.median / ideal
            report.add(
                what=f"triad, concurrency {concurrency}", n=calls, wall_s=wall, ideal_s=ideal,
                ratio=ratio, plain_ratio=measure.Figure.of(plain), cpu_ms=cpu,
            )  # fmt: skip
            report.targets += [
                measure.Target(f"wall over ideal, concurrency {concurrency}", 1.3, ratio, "times"),
                measure.Target(f"CPU a call, concurrency {concurrency}", 2.0, cpu.median, "ms"),
            ]


def _ours(url: str, calls: int, concurrency: int) -> tuple[float, float]:
    """Return wall and CPU seconds of a run; the session is warm, as a notebook's is."""
    samples = [
        Sample(str(n), f"What is the fee of card {n}?", f"The fee of card {n} is 5 EUR.", _PASSAGES)
        for n in range(-2, calls)
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "store": f"sqlite:///{folder}/record.db",
            "providers": {"stub": {"base_url": url}},
            "prices": {"stub/judge": {"input": 1, "output": 2}},
            "model": "stub/judge",
        }
        with Session(**settings) as session:
            judge = judge_of(session)
            run(samples[:2], [Triad()], judge)
            cpu = time.process_time()
            result = run(
                samples[2:], [Triad()], judge, concurrency=concurrency,
                journal=Path(folder) / "journal.jsonl",
            )  # fmt: skip
            cpu = time.process_time() - cpu
    if result.calls != calls or any(score.value is None for score in result.scores):
        sys.exit(f"the run is not whole: {result.calls} calls, {result.stopped}")
    return result.seconds, cpu


async def _plain(url: str, calls: int, concurrency: int) -> float:
    """Return wall seconds of a plain client that sends as many requests of that size."""
    body = {"model": "judge", "messages": [{"role": "user", "content": " ".join(_PASSAGES)}]}
    numbers = iter(range(calls))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def client() -> None:
            for _ in numbers:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    json.loads(await response.read())

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(concurrency)))
        return time.perf_counter() - began


@contextmanager
def _judge() -> Iterator[str]:
    command = [sys.executable, Path(__file__).with_name("_judge_stub.py"), str(_LATENCY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


# ---- agreement ----------------------------------------------------------------------------------


def agreement(report: measure.Report) -> dict[str, Any]:
    """Add a row for each heuristic and set; return the figures as the package shows them."""
    if not (_DATA / "answers").is_dir():
        report.notes.append(f"agreement was not measured: there is no {_DATA / 'answers'}")
        return {}
    metrics: dict[str, Any] = {}
    for set_name, names, rows in (
        ("begin", ("lexical_support", "entity_consistency"), _begin()),
        ("halueval_general", ("embedding_relevance",), _halueval()),
    ):
        for name in names:
            metrics.setdefault(name, {})[set_name] = _agreement(report, name, set_name, rows)
    pairs = _pairs()
    judge = OfflineJudge()
    points = [judge.prefer(*pair) for pair in pairs]
    share = wilson(sum(points), len(points))
    report.add(what="preference, llmbar_natural", n=len(pairs), accuracy=share.estimate)
    preference = {"accuracy": round(share.estimate, 4), "low": round(share.low, 4),
                  "high": round(share.high, 4), "n": len(pairs)}  # fmt: skip
    return {"metrics": metrics, "preference": {"llmbar_natural": preference}}


def _agreement(
    report: measure.Report, name: str, set_name: str, rows: list[tuple[Sample, bool]]
) -> dict[str, Any]:
    (metric,) = metrics_of([name])
    scores = run([sample for sample, _ in rows], [metric], OfflineJudge()).scores
    pairs = [
        (float(good), score.value)
        for (_, good), score in zip(rows, scores, strict=True)
        if score.value is not None
    ]
    human, values = zip(*pairs, strict=True)
    found = detection(human, values, threshold=metric.threshold)
    assert found.balanced_accuracy is not None
    assert found.auc is not None
    balanced, area = found.balanced_accuracy.estimate, found.auc.estimate
    report.add(
        what=f"{name}, {set_name}", n=len(pairs), balanced_accuracy=balanced, auc=area,
        accuracy=found.accuracy.estimate,
    )  # fmt: skip
    return {
        "balanced_accuracy": round(balanced, 4),
        "auc": round(area, 4),
        "n": len(pairs),
        "abstained": len(rows) - len(pairs),
        "threshold": metric.threshold,
    }


def _begin() -> list[tuple[Sample, bool]]:
    """Return responses of dialogue systems: attributable to their knowledge, or not."""
    found = []
    for name in ("wow", "cmu"):
        with (_DATA / "answers" / f"begin_dev_{name}.tsv").open(encoding="utf-8") as lines:
            for number, row in enumerate(csv.DictReader(lines, delimiter="\t")):
                sample = Sample(
                    f"{name}{number}", row["message"], row["response"], (row["knowledge"],)
                )
                found.append((sample, row["begin_label"] == "Fully attributable"))
    return found


def _halueval() -> list[tuple[Sample, bool]]:
    """Return answers of a chat model: without hallucination, or with."""
    with (_DATA / "answers" / "halueval_general.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, _ANSWERS)]
    return [
        (Sample(row["ID"], row["user_query"], row["chatgpt_response"]),
         row["hallucination"] == "no")
        for row in rows
    ]  # fmt: skip


def _pairs() -> list[tuple[str, str, str]]:
    """Return questions with the better answer first."""
    rows = json.loads((_DATA / "judge" / "llmbar_natural.json").read_text(encoding="utf-8"))
    found = []
    for row in rows:
        first, second = row["output_1"], row["output_2"]
        better = (first, second) if row["label"] == 1 else (second, first)
        found.append((row["input"], *better))
    return found


if __name__ == "__main__":
    main()
