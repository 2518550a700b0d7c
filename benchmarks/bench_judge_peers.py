"""Our judge's run beside Ragas and DeepEval, on one judge that answers after 200 ms.

Three questions of each sample (is the answer grounded, is it relevant, were the passages useful),
as each library asks them. Each runs in its own process and environment and calls the judge itself,
so that no door stands between; ours goes through its door, with ledger, trace and journal. Wall
time is that between the judge's first request and its last answer; CPU is that of a run with all
samples minus that of a run with two, so that imports do not count. Make the environments first:
``llmops env create ragas``, ``llmops env create deepeval``.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure

from llmops_kernel import Session, envs
from llmops_kernel.judge.judges import judge_of
from llmops_kernel.judge.metrics import Triad
from llmops_kernel.judge.runner import run
from llmops_kernel.judge.samples import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

_LATENCY_S = 0.2
_METRICS = {
    "ragas": ("faithfulness", "answer_relevancy", "context_precision"),
    "deepeval": ("faithfulness", "answer_relevancy", "contextual_precision"),
}
_PASSAGES = tuple(f"Passage {n}: " + "The fee of a card is 5 EUR and it is blue. " * 8
                  for n in range(3))  # fmt: skip


def main() -> None:
    parser = measure.arguments(str(__doc__).partition("\n")[0])
    parser.add_argument("--samples", type=int, default=50, help="samples (default: %(default)s)")
    options = parser.parse_args()
    count = 8 if options.quick else options.samples
    report = measure.Report(
        "judge_peers",
        "How long do three questions of each sample take, and how many calls?",
        ("what", "concurrency", "calls_per_sample", "wall_s", "ideal_s", "ratio", "most_in_flight",
         "cpu_ms_per_call", "scored"),
        packages=("aiohttp",),
        setup={"latency_s": _LATENCY_S, "samples": count},
    )  # fmt: skip
    with _judge() as url:
        for concurrency in (16, 64):
            _add(report, "llmops (fused triad)", concurrency, count, _ours(url, count, concurrency))
            for name in _METRICS:
                if not envs.find(name).made:
                    report.notes.append(f"{name} was not measured: llmops env create {name}")
                    continue
                found = _peer(name, url, count, concurrency)
                version = _version(name)
                _add(report, f"{name} {version}", concurrency, count, found)
    report.finish(options)


def _add(
    report: measure.Report, what: str, concurrency: int, count: int, found: dict[str, Any]
) -> None:
    # Calls of one length come in rounds: 50 of them, 16 at a time, take four.
    ideal = math.ceil(found["calls"] / concurrency) * _LATENCY_S
    report.add(
        what=what, concurrency=concurrency, calls_per_sample=found["calls"] / count,
        wall_s=found["seconds"], ideal_s=ideal, ratio=found["seconds"] / ideal,
        most_in_flight=found["most"], cpu_ms_per_call=1_000 * found["cpu"] / found["calls"],
        scored=found["scored"],
    )  # fmt: skip


def _samples(count: int) -> list[Sample]:
    return [
        Sample(str(n), f"What is the fee of card {n}?", f"The fee of card {n} is 5 EUR.", _PASSAGES,
               reference="5 EUR.")
        for n in range(count)
    ]  # fmt: skip


def _ours(url: str, count: int, concurrency: int) -> dict[str, Any]:
    import time

    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "store": f"sqlite:///{folder}/record.db",
            "providers": {"stub": {"base_url": f"{url}/v1"}},
            "prices": {"stub/judge": {"input": 1, "output": 2}},
            "model": "stub/judge",
        }
        with Session(**settings) as session:
            judge = judge_of(session)
            run(_samples(count + 2)[count:], [Triad()], judge)
            _stats(url)
            cpu = time.process_time()
            result = run(_samples(count), [Triad()], judge, concurrency=concurrency,
                         journal=Path(folder) / "journal.jsonl")  # fmt: skip
            cpu = time.process_time() - cpu
    scored = sum(score.value is not None for score in result.scores) / len(result.scores)
    return {**_stats(url), "cpu": cpu, "scored": scored}


def _peer(name: str, url: str, count: int, concurrency: int) -> dict[str, Any]:
    few, _ = _worked(name, url, 2, concurrency)
    _stats(url)
    cpu, lines = _worked(name, url, count, concurrency)
    scored = sum("value" in line for line in lines) / (count * len(_METRICS[name]))
    return {**_stats(url), "cpu": cpu - few, "scored": scored}


def _worked(name: str, url: str, count: int, concurrency: int) -> tuple[float, list[Any]]:
    """Run a library's worker; return its CPU seconds and its lines."""
    with tempfile.TemporaryDirectory() as folder:
        job, out = Path(folder) / "job.json", Path(folder) / "scores.jsonl"
        rows = [
            {"id": each.id, "user_input": each.user_input, "response": each.response,
             "retrieved_contexts": list(each.retrieved_contexts), "reference": each.reference,
             "metrics": list(_METRICS[name])}
            for each in _samples(count)
        ]  # fmt: skip
        job.write_text(json.dumps({
            "base_url": f"{url}/v1", "key_env": "OPENAI_API_KEY", "model": "gpt-4o-mini",
            "embedding_model": "text-embedding-3-small", "concurrency": concurrency,
            "metrics": list(_METRICS[name]), "samples": rows, "out": str(out),
        }))  # fmt: skip
        out.touch()
        variables = {**envs.command_env(name), "OPENAI_API_KEY": "none",
                     "OPENAI_BASE_URL": f"{url}/v1"}  # fmt: skip
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [str(envs.python_of(name)), "-m", f"llmops_kernel.judge.peers.workers.run_{name}",
             str(job)],
            env=variables, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return cpu, [json.loads(line) for line in out.read_text().splitlines()]


def _version(name: str) -> str:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    shown = subprocess.run([str(envs.python_of(name)), "-c", code], capture_output=True, text=True)
    return shown.stdout.strip()


def _stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def _judge() -> Iterator[str]:
    command = [sys.executable, Path(__file__).with_name("_schema_judge.py"), str(_LATENCY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.terminate()


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    main()
