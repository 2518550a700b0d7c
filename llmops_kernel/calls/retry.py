"""Tries again what failed by the provider's fault, within bounds."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from llmops_kernel.errors import (
    AuthMissing,
    ProviderError,
    ProviderTimeout,
    ProviderUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmops_kernel.calls.context import CallContext
    from llmops_kernel.calls.reply import Reply, ReplyStream
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.stage import Handler

_STATUSES = {408, 429, 500, 502, 503, 504, 529}
# 429 for an empty account: no waiting helps.
_HOPELESS = {"insufficient_quota", "billing_hard_limit_reached"}
_FIRST_S = 0.5
_LONGEST_S = 8.0


class RetryStage:
    """Repeats a call that failed before its first chunk, waiting longer each time.

    Every attempt goes through the whole rest of the path with ``context.attempt`` counted up, so
    that each has a hold of its own: a failed attempt may be billed. Refusals are never repeated.

    Args:
        next_handler: The rest of the path.
        retries: Attempts after the first one.
        patience_s: The longest ``Retry-After`` that is waited for; a longer one ends the call.
        total_s: Bound on all waiting of one call together.
        sleep: Waits for some seconds.
        jitter: Gives a number between 0 and 1.
    """

    def __init__(
        self,
        next_handler: Handler,
        *,
        retries: int = 2,
        patience_s: float = 60.0,
        total_s: float = 120.0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._next = next_handler
        self._retries = retries
        self._patience_s = patience_s
        self._total_s = total_s
        self._sleep = sleep
        self._jitter = jitter

    async def __call__(self, request: Request, context: CallContext) -> Reply | ReplyStream:
        """Serve the request, with retries.

        Raises:
            ProviderError: The last attempt's error.
        """
        waited = 0.0
        for attempt in range(self._retries):
            try:
                return await self._next(request, context)
            except ProviderError as error:
                delay = self._delay(attempt, error)
                if not _may_repeat(error) or delay is None or waited + delay > self._total_s:
                    raise
            waited += delay
            await self._sleep(delay)
            context = context.with_(attempt=context.attempt + 1)
        return await self._next(request, context)

    def _delay(self, attempt: int, error: ProviderError) -> float | None:
        """Return the seconds to wait; None when the provider asks for too many."""
        longest = min(_FIRST_S * 2.0**attempt, _LONGEST_S)
        # Half of it at random, so that many notebooks do not come back in step.
        delay = longest * (0.5 + 0.5 * self._jitter())
        if error.retry_after is None:
            return delay
        if error.retry_after > self._patience_s:
            return None
        return max(delay, error.retry_after)


def _may_repeat(error: ProviderError) -> bool:
    if error.should_retry is False or isinstance(error, AuthMissing):
        return False
    if isinstance(error, ProviderTimeout | ProviderUnreachable):
        return True
    if error.upstream_status not in _STATUSES:
        return False
    said = (error.upstream_body or {}).get("error")
    return not (
        isinstance(said, dict) and {str(said.get("code")), str(said.get("type"))} & _HOPELESS
    )
