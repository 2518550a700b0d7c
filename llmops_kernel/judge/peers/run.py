"""One run of another library: its process, our endpoint, its scores."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel import envs
from llmops_kernel.errors import RunFailed, UsageProblem
from llmops_kernel.judge.peers.libraries import checked, library_named
from llmops_kernel.judge.peers.lines import read_scores
from llmops_kernel.judge.runner import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from llmops_kernel.judge.peers.libraries import Library
    from llmops_kernel.judge.samples import Sample

__all__ = ["Metered", "run_library"]

_WORKERS = "llmops_kernel.judge.peers.workers"
_KEY = "LLMOPS_PEER_KEY"
_SHOWN_LINES = 12
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Metered:
    """The door another library calls through, and what has gone through it.

    Attributes:
        base_url: The endpoint.
        token: Its bearer token.
        spent: Returns calls, nano-dollars and whether they are simulated, so far.
    """

    base_url: str
    token: str
    spent: Callable[[], tuple[int, int, bool]]


def run_library(
    samples: Sequence[Sample],
    name: str,
    metrics: Sequence[str] = (),
    *,
    door: Metered,
    model: str,
    embedding_model: str = "embed",
    concurrency: int = 16,
    timeout_s: float = 3_600.0,
    consent: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> RunResult:
    """Measure samples with another library's metrics.

    What the library cannot score (an exception, NaN, -1 in a score's place) is unscored with the
    reason, never a number. When the door's cap is reached, the rest is ``unscored:budget``.

    Args:
        samples: What is judged.
        name: The library: ragas, deepeval or trulens.
        metrics: Its metrics; all harmless ones if empty.
        door: Where its calls go.
        model: The judge's model, by a name the door knows.
        embedding_model: For metrics that embed.
        concurrency: Samples at a time.
        timeout_s: Seconds after which the process is ended; what it wrote counts.
        consent: Whether metrics that run judge text as code may run.
        progress: Called as ``progress(done, total, usd_nano)``.

    Raises:
        UsageProblem: There is no such library or metric, or an argument cannot be.
        MissingEnvironment: Its environment was not made.
        RunFailed: The process ended without a single score.
    """
    library = library_named(name)
    wanted = checked(library, tuple(metrics), consent=consent)
    if concurrency < 1 or timeout_s <= 0:
        raise UsageProblem("concurrency and timeout_s must be positive")
    began = time.perf_counter()
    ready = {(sample.id, metric) for sample in samples for metric in wanted
             if not lacking(library, metric, sample)}  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="llmops-peer-") as folder:
        job, out = Path(folder) / "job.json", Path(folder) / "scores.jsonl"
        job.write_text(
            json.dumps({
                "base_url": door.base_url,
                "key_env": _KEY,
                "model": model,
                "embedding_model": embedding_model,
                "concurrency": concurrency,
                "metrics": list(wanted),
                "samples": [_plain(each, [m for m in wanted if (each.id, m) in ready])
                            for each in samples],
                "out": str(out),
            }),
            encoding="utf-8",
        )  # fmt: skip
        out.touch()
        ended = ""
        if ready:
            ended = _worked(library, job, out, door, len(ready), timeout_s, progress)
        calls, nano, simulated = door.spent()
        found = read_scores(out.read_text(encoding="utf-8"), library.name, ready)
    if ready and not found.by_key and ended:
        raise RunFailed(f"{library.name} ended without a score", detail=ended)
    mark = hashlib.sha256(f"{library.name}\0{model}".encode()).hexdigest()[:16]
    scores = [
        found.score(sample.id, metric, judge=model, fingerprint=mark,
                    lacking=lacking(library, metric, sample), ended=ended)
        for sample in samples
        for metric in wanted
    ]  # fmt: skip
    return RunResult(
        tuple(scores),
        calls,
        nano,
        time.perf_counter() - began,
        simulated=simulated,
        stopped=found.budget,
        notes=tuple(note for note in (ended, found.note) if note),
    )


def lacking(library: Library, metric: str, sample: Sample) -> tuple[str, ...]:
    """Return the fields a metric needs and a sample lacks."""
    return tuple(name for name in library.metrics[metric] if not getattr(sample, name))


def _plain(sample: Sample, metrics: list[str]) -> dict[str, Any]:
    return {
        "id": sample.id,
        "user_input": sample.user_input,
        "response": sample.response,
        "retrieved_contexts": list(sample.retrieved_contexts),
        "reference": sample.reference,
        "metrics": metrics,
    }


def _worked(
    library: Library,
    job: Path,
    out: Path,
    door: Metered,
    total: int,
    timeout_s: float,
    progress: Callable[[int, int, int], None] | None,
) -> str:
    """Run the worker to its end; return how it ended if that was not in order."""
    python = envs.python_of(library.name)
    worker = f"{_WORKERS}.run_{library.name}"
    log = job.with_name("log.txt")
    deadline = time.monotonic() + timeout_s
    with log.open("wb") as said, _process([str(python), "-m", worker, str(job)],
                                          _variables(library, door), said) as process:  # fmt: skip
        while process.poll() is None:
            if time.monotonic() > deadline:
                return f"{library.name} was ended after its time limit"
            if progress is not None:
                progress(out.read_bytes().count(b"\n"), total, door.spent()[1])
            time.sleep(_POLL_S)
    if process.returncode == 0:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join([f"{library.name} ended with {process.returncode}", *lines[-_SHOWN_LINES:]])


def _variables(library: Library, door: Metered) -> Mapping[str, str]:
    values = envs.command_env(library.name)
    values[_KEY] = door.token
    # Some clients make a second client of their own from these, whatever they were given.
    values |= {"OPENAI_API_KEY": door.token, "OPENAI_BASE_URL": door.base_url}
    return values


@contextmanager
def _process(
    command: list[str], variables: Mapping[str, str], said: Any
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603
        command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        cwd=tempfile.gettempdir(), start_new_session=os.name == "posix",
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
