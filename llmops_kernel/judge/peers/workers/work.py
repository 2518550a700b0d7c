"""What the workers have in common: the job, the samples at a time, the lines."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LONGEST = 2_000


class Job:
    """One run, as `judge.peers.run` writes it down."""

    def __init__(self, path: str) -> None:
        told: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        self.base_url: str = told["base_url"]
        self.key: str = os.environ[told["key_env"]]
        self.model: str = told["model"]
        self.embedding_model: str = told["embedding_model"]
        self.concurrency: int = told["concurrency"]
        self.metrics: list[str] = told["metrics"]
        self.samples: list[dict[str, Any]] = told["samples"]
        self.out = Path(told["out"])

    def write(self, sample_id: str, metric: str, **told: Any) -> None:
        """Write one line, in one write: lines of several threads do not mix."""
        line = json.dumps({"id": sample_id, "metric": metric, **told}) + "\n"
        with self.out.open("ab", buffering=0) as file:
            file.write(line.encode())

    def error(self, sample_id: str, metric: str, error: BaseException) -> None:
        """Write why a metric has no score, with the causes the library has wrapped."""
        said: list[str] = []
        seen: BaseException | None = error
        while seen is not None and len(said) < 5:
            said.append(f"{type(seen).__name__}: {seen}")
            seen = seen.__cause__ or seen.__context__
        text = " <- ".join(said)
        # The door's marker stands at the end of its message, and must not be cut off.
        kept = (
            text
            if len(text) <= _LONGEST
            else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
        )
        self.write(sample_id, metric, error=kept)


def job_named() -> Job:
    """Return the job that the command line names."""
    return Job(sys.argv[1])


async def measured(
    job: Job, measure: Callable[[dict[str, Any], str], Awaitable[tuple[float | None, str]]]
) -> None:
    """Measure every metric of every sample, some at a time; write a line for each."""
    waiting = iter([(sample, name) for sample in job.samples for name in sample["metrics"]])

    async def work() -> None:
        for sample, name in waiting:
            try:
                value, reason = await measure(sample, name)
            except Exception as error:  # noqa: BLE001 - one sample does not end a run
                job.error(sample["id"], name, error)
            else:
                job.write(sample["id"], name, value=value, reason=reason)

    await asyncio.gather(*(work() for _ in range(job.concurrency)))
