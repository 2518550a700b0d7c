"""What a session does beside the calls: write late rows, show it lives, send alerts."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from llmops_kernel.budget import reap
from llmops_kernel.budget.notify import send_alerts
from llmops_kernel.errors import LLMOpsError
from llmops_kernel.store import ledger_rows

if TYPE_CHECKING:
    from llmops_kernel.budget import Ledger
    from llmops_kernel.calls.loop import BackgroundLoop
    from llmops_kernel.store import Store

_log = logging.getLogger(__name__)
# Settlements and rows that end a span wait this long for the next call to take them along.
_FLUSH_AFTER = 0.05
_EVERY = 10.0
_REAP_EVERY = 3  # rounds


class Housekeeping:
    """Runs on the session's loop, and only while there are calls.

    `call_begins` and `call_ended` are called on the loop.
    """

    def __init__(self, store: Store, ledger: Ledger, loop: BackgroundLoop) -> None:
        self._store = store
        self._ledger = ledger
        self._loop = loop
        self._flush: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._running = 0

    def call_begins(self) -> None:
        """Note a call; the first one starts the rounds."""
        self._running += 1
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._rounds())

    def call_ended(self) -> None:
        """Note the end of a call; what it left to write is written soon."""
        self._running -= 1
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_FLUSH_AFTER, self._write)

    def unshown_alerts(self) -> list[str]:
        """Return alerts nobody has been shown, and mark them shown."""
        return ledger_rows.take_unshown_alerts(self._store)

    def stop(self) -> None:
        """Send the last alerts. The loop cancels the rounds when it stops."""
        self._quietly(send_alerts, self._store)

    def _write(self) -> None:
        self._flush = None
        self._writing = asyncio.get_running_loop().create_task(self._write_waiting())

    async def _write_waiting(self) -> None:
        try:
            await self._store.arun(self._store.write_waiting)
        except LLMOpsError as error:
            _log.warning("The record is not up to date: %s", error.sentence())

    async def _rounds(self) -> None:
        count = 0
        while self._running or count == 0:
            await asyncio.sleep(_EVERY)
            count += 1
            try:
                await asyncio.to_thread(self._round, reaping=count % _REAP_EVERY == 0)
            except RuntimeError:  # the interpreter shuts down; `stop` does the rest
                return

    def _round(self, *, reaping: bool) -> None:
        self._quietly(self._ledger.heartbeat)
        self._quietly(send_alerts, self._store)
        if reaping:
            self._quietly(reap, self._ledger)

    def _quietly(self, work: object, *arguments: object) -> None:
        # Nothing here may stop a call; what fails here is tried again in the next round.
        try:
            work(*arguments)  # type: ignore[operator]
        except LLMOpsError as error:
            _log.warning("Housekeeping: %s", error.sentence())
