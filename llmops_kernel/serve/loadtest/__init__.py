"""Load tests of any OpenAI-compatible server: waiting, speed, and whether answers come whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.serve.loadtest.client import Goal, Sample
from llmops_kernel.serve.loadtest.figures import LoadTest, Row, percentile, summarise
from llmops_kernel.serve.loadtest.loops import PROMPTS, Load, Run, run_loads
from llmops_kernel.serve.loadtest.prefix import Prefix, read_twice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "PROMPTS",
    "Goal",
    "Load",
    "LoadTest",
    "Prefix",
    "Row",
    "Run",
    "Sample",
    "load_test",
    "percentile",
    "read_twice",
    "run_loads",
    "summarise",
]


def load_test(
    goal: Goal,
    loads: Sequence[Load],
    *,
    prompts: Sequence[str] = PROMPTS,
    max_tokens: int = 32,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = lambda _: None,
) -> LoadTest:
    """Put a server under load and return the figures; blocks, and Ctrl-C ends it.

    Args:
        goal: The server.
        loads: What is put on it, one after the other.
        prompts: Asked in turn.
        max_tokens: Bound on each answer.
        timeout_s: Seconds without a byte after which an answer is given up.
        say: Told what is being done.

    Raises:
        UsageProblem: Nothing is to be sent.
    """
    from llmops_kernel.calls.loop import BackgroundLoop

    loop = BackgroundLoop("llmops-load")
    try:
        runs = loop.run(
            run_loads(
                goal, loads, prompts=prompts, max_tokens=max_tokens, timeout_s=timeout_s, say=say
            )
        )
        # Last, so that it has warmed up: what counts here is what it keeps, not how fast it is.
        prefix = loop.run(read_twice(goal, prompts, timeout_s))
    finally:
        loop.stop()
    return summarise(goal, runs, prefix)
