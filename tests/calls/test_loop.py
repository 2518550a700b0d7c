"""The background loop: blocking calls, interrupts, iteration, forks."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
import time
from contextvars import ContextVar

import pytest

from llmops_kernel.calls.loop import BackgroundLoop
from llmops_kernel.errors import LLMOpsError, UsageProblem

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


@pytest.fixture
def loop():
    loop = BackgroundLoop()
    yield loop
    loop.stop()


async def _double(value):
    await asyncio.sleep(0)
    return 2 * value


def test_run_returns_and_raises(loop):
    async def fail():
        raise UsageProblem("no")

    assert not loop.running
    assert loop.run(_double(4)) == 8
    assert loop.running
    with pytest.raises(UsageProblem, match="no"):
        loop.run(fail())


def test_many_threads_share_one_loop(loop):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(loop.run(_double(n)))) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2 * n for n in range(20)]
    assert sum(thread.name == "llmops-loop" for thread in threading.enumerate()) == 1


def test_context_variables_are_seen_inside(loop):
    async def who():
        return WHO.get()

    token = WHO.set("cell 3")
    try:
        assert loop.run(who()) == "cell 3"
    finally:
        WHO.reset(token)


def test_own_thread_is_refused(loop):
    async def nested():
        loop.run(_double(1))

    with pytest.raises(UsageProblem, match="own thread"):
        loop.run(nested())

    async def stopping():
        loop.stop()

    with pytest.raises(UsageProblem, match="own thread"):
        loop.run(stopping())


def test_timeout_cancels(loop):
    cancelled = threading.Event()

    async def wait_long():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(TimeoutError):
        loop.run(wait_long(), timeout=0.05)
    assert cancelled.is_set()


def test_the_coroutines_own_timeout_error_passes(loop):
    async def fail():
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        loop.run(fail(), timeout=30)


def test_interrupt_cancels_and_waits_for_cleanup(loop):
    steps = []

    async def wait_long():
        steps.append("started")
        threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            steps.append("settled")

    with pytest.raises(KeyboardInterrupt):
        loop.run(wait_long())
    assert steps == ["started", "settled"]
    assert loop.run(_double(1)) == 2


def test_iterate_to_the_end_and_with_error(loop):
    async def count():
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def fail():
        yield 1
        raise UsageProblem("broke off")

    assert list(loop.iterate(count())) == [1, 2]
    with pytest.raises(UsageProblem, match="broke off"):
        list(loop.iterate(fail()))


def test_leaving_an_iteration_closes_it(loop):
    closed = threading.Event()

    async def count():
        try:
            for n in range(100):
                yield n
        finally:
            await asyncio.sleep(0)
            closed.set()

    for item in loop.iterate(count()):
        if item == 3:
            break
    gc.collect()
    assert closed.wait(5)


def test_iteration_dropped_on_the_loops_thread_closes(loop):
    closed = threading.Event()

    async def count():
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    held = [loop.iterate(count())]
    assert next(held[0]) == 1

    async def drop():
        held.clear()

    loop.run(drop())
    assert closed.wait(5)


def test_stop_cancels_what_runs_and_later_use_starts_anew(loop):
    settled = threading.Event()
    caught = []

    async def wait_long():
        try:
            await asyncio.sleep(60)
        finally:
            settled.set()

    def call():
        try:
            loop.run(wait_long())
        except LLMOpsError as error:
            caught.append(error.message)

    thread = threading.Thread(target=call)
    thread.start()
    deadline = time.monotonic() + 5
    while not loop.running and time.monotonic() < deadline:
        time.sleep(0.01)
    loop.stop()
    thread.join(5)
    assert settled.is_set()
    assert caught == ["The call was cancelled before it ended"]
    assert not loop.running
    loop.stop()
    assert loop.run(_double(3)) == 6


def test_system_exit_in_a_task_does_not_hang(loop):
    async def leave():
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        loop.run(leave())
    assert loop.run(_double(5)) == 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_its_own_loop(loop):
    assert loop.run(_double(1)) == 2
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(loop.run(_double(21), timeout=20)))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == 42
    assert loop.run(_double(2)) == 4
