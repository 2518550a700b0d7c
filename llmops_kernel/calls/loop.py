"""One event loop in a thread of its own.

A notebook's main thread runs a loop already (the kernel's), so calls run on a loop of their own:
magics block on it and can be interrupted, and the HTTP endpoint is served while a cell computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from weakref import WeakSet

from llmops_kernel.errors import LLMOpsError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

T = TypeVar("T")

# How long an interrupted call may take to clean up before the interrupt goes on.
_GRACE_S = 2.0
# A blocked lock can be interrupted on POSIX only; elsewhere the wait is cut into slices.
_SLICE_S = None if os.name == "posix" else 0.2
_END = object()


class BackgroundLoop:
    """An event loop in a daemon thread, started on first use.

    It can be used from any thread but its own. A forked child gets a loop of its own.

    Args:
        name: The thread's name.
    """

    def __init__(self, name: str = "llmops-loop") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        _LOOPS.add(self)

    @property
    def running(self) -> bool:
        """Whether the thread has been started and not stopped."""
        return self._loop is not None

    @property
    def here(self) -> bool:
        """Whether the caller is on the loop's own thread."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def run(self, coro: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine to its end and return what it returns.

        An interrupt (Ctrl-C, the kernel's stop button) cancels the coroutine, waits up to two
        seconds for its clean-up and goes on. Context variables of the caller are seen inside.

        Args:
            coro: What to run.
            timeout: Seconds after which it is cancelled; None waits for ever.

        Raises:
            UsageProblem: The caller is on the loop's own thread, and would wait for itself.
            TimeoutError: The time is over.
            LLMOpsError: The loop was stopped meanwhile.
        """
        if self.here:
            coro.close()
            raise UsageProblem(
                "A blocking call was made on the event loop's own thread",
                hint="Await the async form of the call there",
            )
        call = _Call(coro)
        try:
            self._submit(call)
            return call.wait(timeout)
        except BaseException:
            if not call.done.done():
                call.abandon()
            raise

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """Iterate an async iterator from this thread; leaving early closes it."""
        exhausted = False
        try:
            while True:
                item = self.run(_next(source))
                if item is _END:
                    exhausted = True
                    return
                yield cast("T", item)
        finally:
            if not exhausted:
                self._leave(source)

    def stop(self, timeout: float = 5.0) -> None:
        """Cancel what runs, close the loop and join the thread; a later `run` starts anew.

        Args:
            timeout: Seconds that tasks get to clean up.
        """
        if self.here:
            raise UsageProblem("The event loop cannot be stopped from its own thread")
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            if loop is None or thread is None:
                return
            loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout + 1.0)

    def forget(self) -> None:
        """Drop the thread that a forked child has not got; called in the child."""
        # The child shares the parent's selector: touching or closing it would disturb the parent,
        # so the loop is kept, unused, until the child ends.
        _ORPHANS.append((self._loop, self._thread))
        self._lock = threading.Lock()
        self._loop = self._thread = None

    def _submit(self, call: _Call[Any]) -> None:
        # Under the lock, so that `stop` cannot close the loop between the look and the call.
        with self._lock:
            call.loop = self._loop or self._start()
            call.loop.call_soon_threadsafe(call.start)

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name=self._name, daemon=True
        )
        self._loop = loop
        self._thread.start()
        return loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            with contextlib.suppress(SystemExit, KeyboardInterrupt):  # told to the task's caller
                loop.run_forever()
        finally:
            with self._lock:
                if self._loop is loop:  # nobody said stop: a task raised SystemExit
                    self._loop = self._thread = None
            try:
                loop.run_until_complete(_cancel_all())
                loop.run_until_complete(loop.shutdown_asyncgens())
            finally:
                loop.close()

    def _leave(self, source: AsyncIterator[Any]) -> None:
        close = getattr(source, "aclose", None)
        if close is None or sys.is_finalizing():
            return
        if self.here:  # the garbage collector may run anywhere
            task = asyncio.get_running_loop().create_task(close())
            _CLOSING.add(task)
            task.add_done_callback(_CLOSING.discard)
            return
        self.run(close(), timeout=_GRACE_S)


class _Call(Generic[T]):
    """A coroutine on its way through the loop."""

    __slots__ = ("_coro", "_task", "done", "loop")

    def __init__(self, coro: Coroutine[Any, Any, T]) -> None:
        self._coro = coro
        self._task: asyncio.Task[T] | None = None
        self.done: Future[T] = Future()
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coro)
        self._task.add_done_callback(self._finish)

    def wait(self, timeout: float | None) -> T:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            step = _SLICE_S
            if deadline is not None:
                left = max(deadline - time.monotonic(), 0.0)
                step = left if step is None else min(left, step)
            try:
                return self.done.result(step)
            except TimeoutError:
                if self.done.done():  # the coroutine's own error, or it ended just now
                    return self.done.result()
                if deadline is not None and time.monotonic() >= deadline:
                    raise

    def abandon(self) -> None:
        """Cancel what the caller has left, and give it a moment to clean up."""
        if self.loop is None:  # it never got there
            self._coro.close()
            return
        try:
            self.loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop was closed meanwhile, and with it the call
            return
        with contextlib.suppress(TimeoutError):
            self.done.exception(_GRACE_S)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _finish(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.done.set_exception(LLMOpsError("The call was cancelled before it ended"))
        elif (error := task.exception()) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())


async def _next(source: AsyncIterator[T]) -> T | object:
    return await anext(source, _END)


async def _cancel_all() -> None:
    me = asyncio.current_task()
    give_up = time.monotonic() + 5.0
    while tasks := [task for task in asyncio.all_tasks() if task is not me]:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
        if time.monotonic() > give_up:
            return


_LOOPS: WeakSet[BackgroundLoop] = WeakSet()
_ORPHANS: list[Any] = []
_CLOSING: set[asyncio.Task[Any]] = set()


def _after_fork() -> None:
    for loop in list(_LOOPS):
        loop.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
