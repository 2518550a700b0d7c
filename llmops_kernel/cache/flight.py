"""One upstream call for identical requests that are on their way at the same time.

The first asker leads, the others wait for how its call lands. What failed for the leader need not
fail for others: they ask again, one of them leading.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.cache.entry import Entry
    from llmops_kernel.cache.near import Twin


@dataclass(frozen=True, slots=True)
class Landing:
    """How a leader's call ended, for those who waited.

    Attributes:
        entry: The answer, if there is one to give again.
        tier: ``exact`` if the leader found it in the cache, the tier's name if it found that of
            another text, ``flight`` if it was just made.
        twin: What the leader found, if it was another text's.
        alone: Without an answer: whether each goes on alone (the answer came, and is of a kind
            that is not given again) or asks again (it never came).
    """

    entry: Entry | None = None
    tier: str = "flight"
    twin: Twin | None = None
    alone: bool = False


class Flight:
    """A request on its way."""

    def __init__(self, began: float) -> None:
        self._future: asyncio.Future[Landing] = asyncio.get_running_loop().create_future()
        self.began = began

    @property
    def landed(self) -> bool:
        """Whether it is known how the call ended."""
        return self._future.done()

    def land(self, landing: Landing) -> None:
        """Tell those who wait; the first word counts."""
        if not self._future.done():
            self._future.set_result(landing)

    async def wait(self, seconds: float) -> Landing:
        """Return how the call ended; go on alone if that takes too long.

        Who stops waiting disturbs neither the leader nor the others.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._future), seconds)
        except TimeoutError:
            return Landing(alone=True)


class Flights:
    """The requests of this process that are on their way, by event loop.

    Args:
        clock: Seconds that only go forward; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._tables: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Flight]] = (
            WeakKeyDictionary()
        )

    def join(self, key: str, wait_s: float) -> tuple[Flight, bool]:
        """Return the flight of a key, and whether the caller leads it.

        A flight older than ``wait_s`` is given up: its leader may have left its stream unread.
        """
        loop, now = asyncio.get_running_loop(), self._clock()
        with self._lock:
            table = self._tables.setdefault(loop, {})
            flight = table.get(key)
            if flight is not None and not flight.landed and now - flight.began < wait_s:
                return flight, False
            table[key] = flight = Flight(now)
            return flight, True

    def land(self, key: str, flight: Flight, landing: Landing) -> None:
        """End a flight."""
        flight.land(landing)
        with self._lock:
            table = self._tables.get(asyncio.get_running_loop(), {})
            if table.get(key) is flight:
                del table[key]
