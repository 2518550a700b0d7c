"""What every call of a run goes through: its cap, its pace, its stop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd
from llmops_kernel.errors import CallRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.calls.request import ChatRequest
    from llmops_kernel.judge.judges.protocol import Call


class Limits:
    """The cap, the pace and the stop of one run.

    A call is let through when its worst case fits beside what is spent and what calls in flight
    may cost; it waits while it fits only without those. The first call that does not fit at all
    stops the run: what is in flight ends, nothing new begins.

    Args:
        max_nano: The cap in nano-dollars; None for no cap but the ledger's.
        rate_per_minute: Calls a minute; None for no pace but the concurrency's.
    """

    def __init__(self, max_nano: int | None, rate_per_minute: float | None) -> None:
        self.calls = 0
        self.spent = 0
        self.stopped = ""
        self._max = max_nano
        self._gap = 60.0 / rate_per_minute if rate_per_minute else 0.0
        self._next = 0.0
        self._held = 0
        # Calls are let through in the order they came: of a capped run the first samples count.
        self._turn = asyncio.Lock()
        self._settled = asyncio.Event()

    def stop(self, why: str) -> None:
        """Let nothing new begin."""
        self.stopped = self.stopped or why
        self._settled.set()

    async def via(self, request: ChatRequest, worst: Callable[[], int], call: Call) -> Reply:
        """Make a call within the limits.

        Raises:
            CallRefused: The run has stopped, or its cap would be passed.
        """
        if self.stopped:
            raise CallRefused("The run has stopped", detail=self.stopped)
        amount = 0 if self._max is None else worst()
        if self._max is not None:
            await self._reserve(amount, self._max)
        cost = 0
        try:
            await self._pace()
            self.calls += 1
            reply = await call(request)
            cost = reply.cost_nano
            return reply
        finally:
            self.spent += cost
            self._held -= amount
            self._settled.set()

    async def _reserve(self, amount: int, limit: int) -> None:
        async with self._turn:
            while not self.stopped:
                if self.spent + amount > limit:
                    self.stop(f"the run's cap of ${usd(limit):f} is reached")
                elif self.spent + self._held + amount <= limit:
                    self._held += amount
                    return
                else:
                    self._settled.clear()
                    await self._settled.wait()
        raise CallRefused("The run has stopped", detail=self.stopped)

    async def _pace(self) -> None:
        if not self._gap:
            return
        now = time.monotonic()
        at = max(now, self._next)
        self._next = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)
