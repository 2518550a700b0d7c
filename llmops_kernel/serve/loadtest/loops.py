"""Two ways to load a server: so many clients that wait for their answers, or arrivals that do not.

A closed loop slows down with the server and so hides its queue; an open loop sends each request
when it is due, and counts its waiting from then.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops_kernel.serve.loadtest.client import Goal, Sample, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

PROMPTS = (
    "What does a transfer abroad cost?",
    "My card was stolen, please block it.",
    "How do I open an account?",
    "When does my new card arrive?",
    "Why was my payment declined?",
    "How can I change my address?",
    "What is the limit for cash withdrawals?",
    "I forgot my password.",
    "How long does a transfer take?",
    "Can I get a refund for this payment?",
    "How do I close my account?",
    "What is the interest rate of a savings account?",
    "I see a charge that I do not know.",
    "How do I add a second card holder?",
    "Which documents do I need for a loan?",
    "How do I reach the support by phone?",
)


@dataclass(frozen=True, slots=True)
class Load:
    """One load.

    Attributes:
        clients: Clients of a closed loop; 0 for an open one.
        rate: Arrivals a second of an open loop, on average; 0 for a closed one.
        requests: How many requests.
        seed: Draws the arrivals.
    """

    clients: int = 0
    rate: float = 0.0
    requests: int = 48
    seed: int = 7

    @property
    def label(self) -> str:
        """What to call it in results."""
        if self.rate:
            return f"{self.rate:g} arrivals/s"
        return f"{self.clients} client{'' if self.clients == 1 else 's'}"


@dataclass(slots=True)
class Run:
    """A load with its samples.

    Attributes:
        load: The load.
        samples: One for each request.
        seconds: From the first to the last of them.
    """

    load: Load
    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0


async def run_loads(
    goal: Goal,
    loads: Sequence[Load],
    *,
    prompts: Sequence[str] = PROMPTS,
    max_tokens: int = 32,
    timeout_s: float = 120.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Run]:
    """Put a server under load.

    Each prompt is asked once alone first: that warms the server up, and its answer is what later
    ones are held against.

    Args:
        goal: The server.
        loads: What is put on it, one after the other.
        prompts: Asked in turn.
        max_tokens: Bound on each answer.
        timeout_s: Seconds without a byte after which an answer is given up.
        say: Told what is being done.
    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=timeout_s)
    # A connection each: some engines close one after a stream without saying so, and the next
    # request on it would fail.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        lone: list[str] = []
        for number, prompt in enumerate(prompts):
            alone = await ask(session, goal, prompt, max_tokens, Sample(number, time.monotonic()))
            lone.append(alone.text if alone.complete else "")
        runs = []
        for load in loads:
            say(f"{load.label}: {load.requests} requests")
            tester = _Tester(session, goal, prompts, lone, max_tokens)
            runs.append(await (tester.open(load) if load.rate else tester.closed(load)))
        return runs


class _Tester:
    def __init__(
        self,
        session: aiohttp.ClientSession,
        goal: Goal,
        prompts: Sequence[str],
        lone: Sequence[str],
        max_tokens: int,
    ) -> None:
        self._session = session
        self._goal = goal
        self._prompts = prompts
        self._lone = lone
        self._max_tokens = max_tokens

    async def closed(self, load: Load) -> Run:
        """Let clients ask one request after the other until all are asked."""
        run, numbers = Run(load), iter(range(load.requests))

        async def client() -> None:
            for number in numbers:
                run.samples.append(await self._ask(number, time.monotonic()))

        began = time.monotonic()
        await asyncio.gather(*(client() for _ in range(load.clients)))
        run.seconds = time.monotonic() - began
        return run

    async def open(self, load: Load) -> Run:
        """Send each request at its own time, whatever became of those before it."""
        draw = random.Random(load.seed)  # noqa: S311 - arrivals, not secrets
        run, began, at = Run(load), time.monotonic(), 0.0
        flying = []
        for number in range(load.requests):
            at += draw.expovariate(load.rate)
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            # Due when it was drawn, though we may be late: the delay is part of what is waited for.
            flying.append(asyncio.create_task(self._ask(number, began + at)))
        run.samples = list(await asyncio.gather(*flying))
        run.seconds = time.monotonic() - began
        return run

    async def _ask(self, number: int, due: float) -> Sample:
        prompt = number % len(self._prompts)
        sample = Sample(prompt, due, lone=self._lone[prompt])
        return await ask(self._session, self._goal, self._prompts[prompt], self._max_tokens, sample)
