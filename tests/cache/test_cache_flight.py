"""Identical requests on their way are one upstream call, whatever becomes of the first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, USD, body
from stub_upstream import Answer, StubUpstream, chunk, completion, stream, usage_chunk

from llmops_kernel import Session
from llmops_kernel.budget import audit
from llmops_kernel.calls import ChatRequest, Reply, ReplyStream
from llmops_kernel.errors import BadRequest, ProviderError

Make = Callable[..., Session]
REQUEST = ChatRequest.from_body(body())
_WORKER = Path(__file__).with_name("cache_worker.py")


async def _whole(session: Session, request: ChatRequest = REQUEST, **context: Any) -> Reply:
    reply = await session.acall(request, session.context(**context))
    return await reply.collect() if isinstance(reply, ReplyStream) else reply


def _kinds(session: Session) -> list[str]:
    return sorted(event.kind for event in session.history(1_000))


def _slow(answer: Any = None, delay: float = 0.3) -> Answer:
    return Answer(body=completion("slow") if answer is None else answer, delay=delay)


@pytest.mark.parametrize("streams", [0, 25, 50])
def test_fifty_at_once_are_one_call_and_one_settlement(
    session: Session, upstream: StubUpstream, streams: int
) -> None:
    if streams == 50:
        upstream.script(stream(chunk("slow"), chunk(None, "stop"), usage_chunk(), delay=0.3))
    else:
        upstream.script(_slow())

    async def all_at_once() -> list[Reply]:
        requests = [REQUEST.with_(stream=n >= 50 - streams) for n in range(50)]
        return await asyncio.gather(*(_whole(session, request) for request in requests))

    replies = session._loop.run(all_at_once())
    assert len(upstream.requests) == 1
    assert {reply.text for reply in replies} == {"slow"}
    assert sorted(reply.cached for reply in replies) == [False, *[True] * 49]
    assert sum(reply.cost_nano for reply in replies) == NANO_PER_CALL
    assert _kinds(session) == ["reserve", "settle"]
    stats = session.cache.stats()
    assert (stats.misses, stats.tiers) == (1, {"flight": 49})
    assert stats.saved_nano == {"real": 49 * NANO_PER_CALL}
    assert audit(session.store) == []


def test_tenants_do_not_wait_for_each_other(session: Session, upstream: StubUpstream) -> None:
    upstream.script(*(_slow(completion(f"for {n}"), 0.1) for n in range(3)))

    async def all_at_once() -> list[Reply]:
        return await asyncio.gather(*(_whole(session, tenant=f"t{n % 3}") for n in range(9)))

    replies = session._loop.run(all_at_once())
    assert len(upstream.requests) == 3
    texts = [{reply.text for reply in replies[n::3]} for n in range(3)]
    assert all(len(each) == 1 for each in texts)
    assert len(set.union(*texts)) == 3


def test_a_cancelled_leader_hands_over(session: Session, upstream: StubUpstream) -> None:
    upstream.script(_slow(delay=30), _slow(completion("second"), 0.1))

    async def leave_the_first() -> list[Reply]:
        leader = asyncio.create_task(_whole(session))
        while not upstream.requests:
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(_whole(session)) for _ in range(5)]
        await asyncio.sleep(0.05)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return await asyncio.gather(*others)

    replies = session._loop.run(leave_the_first())
    assert {reply.text for reply in replies} == {"second"}
    assert sorted(reply.cached for reply in replies) == [False, True, True, True, True]
    assert len(upstream.requests) == 2


def test_who_is_cancelled_while_asking_keeps_nobody_waiting(
    make_session: Make, upstream: StubUpstream, place: dict[str, str]
) -> None:
    session = make_session(store=place["store"], cache={"url": place["url"]})

    async def leave_early() -> Reply:
        for number in range(30):
            task = asyncio.create_task(_whole(session))
            await asyncio.sleep(number / 5_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                session.cache.clear()
        return await asyncio.wait_for(_whole(session), 20)

    assert session._loop.run(leave_early()).text


def test_a_follower_who_leaves_disturbs_nobody(session: Session, upstream: StubUpstream) -> None:
    upstream.script(_slow())

    async def leave_one() -> list[Reply]:
        tasks = [asyncio.create_task(_whole(session)) for _ in range(4)]
        await asyncio.sleep(0.1)
        tasks[2].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(done[2], asyncio.CancelledError)
        return [each for each in done if isinstance(each, Reply)]

    replies = session._loop.run(leave_one())
    assert [reply.cached for reply in replies] == [False, True, True]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_is_nobody_elses(session: Session, upstream: StubUpstream, status: int) -> None:
    upstream.script(
        Answer(status=status, body={"error": {"message": "broken"}}, delay=0.1),
        _slow(completion("fine"), 0.05),
    )

    async def all_at_once() -> list[Reply | BaseException]:
        return await asyncio.gather(*(_whole(session) for _ in range(5)), return_exceptions=True)

    done = session._loop.run(all_at_once())
    assert [type(each) for each in done if not isinstance(each, Reply)] in (
        [ProviderError],
        [BadRequest],
    )
    assert {each.text for each in done if isinstance(each, Reply)} == {"fine"}
    assert len(upstream.requests) == 2


def test_answers_that_are_not_kept_send_everybody_on_their_way(
    session: Session, upstream: StubUpstream
) -> None:
    cut = {
        "index": 0,
        "message": {"role": "assistant", "content": "cut"},
        "finish_reason": "length",
    }
    upstream.script(*(_slow(completion(choices=[cut]), 0.2) for _ in range(6)))

    async def all_at_once() -> float:
        begin = time.monotonic()
        replies = await asyncio.gather(*(_whole(session) for _ in range(6)))
        assert not any(reply.cached for reply in replies)
        return time.monotonic() - begin

    session._loop.run(all_at_once())
    assert len(upstream.requests) == 6
    assert session.cache.stats().misses == 6


def test_a_stream_nobody_reads_holds_others_up_for_a_while_only(
    make_session: Make, upstream: StubUpstream
) -> None:
    session = make_session(cache={"wait_s": 0.3})

    async def stall() -> tuple[Reply, Reply]:
        stalled = await session.acall(REQUEST.with_(stream=True), session.context())
        waited = await _whole(session)
        after = await _whole(session)
        await stalled.aclose()  # type: ignore[union-attr]
        return waited, after

    waited, after = session._loop.run(stall())
    assert not waited.cached
    assert not after.cached
    assert len(upstream.requests) == 3


def test_a_left_stream_hands_over(session: Session, upstream: StubUpstream) -> None:
    async def leave() -> Reply:
        left = await session.acall(REQUEST.with_(stream=True), session.context())
        await anext(left)  # type: ignore[arg-type]
        waiting = asyncio.create_task(_whole(session))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await left.aclose()  # type: ignore[union-attr]
        return await waiting

    assert not session._loop.run(leave()).cached
    assert session.call(REQUEST).cached
    assert len(upstream.requests) == 2


def test_two_sessions_of_a_process_share_one_call(
    make_session: Make, upstream: StubUpstream
) -> None:
    one, other = make_session(), make_session()
    upstream.script(_slow(delay=0.4))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        first = pool.submit(one.call, REQUEST)
        while not upstream.requests:
            time.sleep(0.01)
        second = pool.submit(other.call, REQUEST)
        assert (first.result().cached, second.result().cached) == (False, True)
    assert len(upstream.requests) == 1
    assert other.cache.stats().tiers == {"flight": 1}


def _worker(upstream: StubUpstream, place: dict[str, str], home: Path) -> subprocess.Popen[str]:
    settings = {
        "store": place["store"],
        "providers": {"stub": {"base_url": upstream.base_url}},
        "prices": {"stub/stub-1": USD},
        "cache": {"url": place["url"]},
    }
    return subprocess.Popen(
        [sys.executable, str(_WORKER), json.dumps(settings), json.dumps(body())],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LLMOPS_HOME": str(home)},
    )


def test_processes_pay_once(upstream: StubUpstream, place: dict[str, str], tmp_path: Path) -> None:
    upstream.script(_slow(delay=2.5))
    workers = [_worker(upstream, place, tmp_path) for _ in range(3)]
    said = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    assert len(upstream.requests) == 1
    assert {each["text"] for each in said} == {"slow"}
    assert sorted(each["cost_nano"] for each in said) == [0, 0, NANO_PER_CALL]


def test_a_killed_leader_is_succeeded(
    upstream: StubUpstream, place: dict[str, str], tmp_path: Path
) -> None:
    upstream.script(_slow(delay=60), _slow(completion("second"), 0.1))
    leader = _worker(upstream, place, tmp_path)
    while not upstream.requests:
        time.sleep(0.02)
    follower = _worker(upstream, place, tmp_path)
    time.sleep(1.5)  # it is waiting now, on most machines; the outcome is the same
    assert len(upstream.requests) == 1 or follower.poll() is None
    leader.send_signal(signal.SIGKILL)
    leader.communicate()
    said = json.loads(follower.communicate(timeout=60)[0])
    assert said == {"text": "second", "cached": False, "cost_nano": NANO_PER_CALL}
    assert len(upstream.requests) == 2
