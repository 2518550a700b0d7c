"""The cache fails open: without its place, calls go on as if there were none."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from cache_desk import NANO_PER_CALL, body
from stub_upstream import StubUpstream

from llmops_kernel import Session
from llmops_kernel.cache import shelf
from llmops_kernel.calls import ChatRequest
from llmops_kernel.errors import StoreError

Make = Callable[..., Session]
REQUEST = ChatRequest.from_body(body())


def test_redis_down_is_one_warning(
    make_session: Make, upstream: StubUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    session = make_session(cache={"url": "redis://user:s3cret@127.0.0.1:1/0"})
    with caplog.at_level(logging.WARNING, "llmops_kernel.cache"):
        replies = [session.call(REQUEST) for _ in range(4)]
    assert [reply.cost_nano for reply in replies] == [NANO_PER_CALL] * 4
    assert len(caplog.records) == 1
    assert "s3cret" not in caplog.text
    assert session.cache.warnings()
    with pytest.raises(StoreError) as caught:
        session.cache.stats()
    assert "s3cret" not in caught.value.sentence()
    with pytest.raises(StoreError):
        session.cache.clear()


def test_redis_comes_back(
    make_session: Make,
    upstream: StubUpstream,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import redis

    session = make_session(cache={"url": redis_url})
    assert [session.call(REQUEST).cached for _ in range(2)] == [False, True]
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("requirepass", "changed")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal")
    assert not session.call(REQUEST).cached
    assert session.cache.warnings()
    with redis.Redis.from_url(redis_url, password="changed") as client:
        client.config_set("requirepass", "")
    assert not session.call(REQUEST).cached  # not tried again at once
    session.cache.shelf.down_until = 0
    assert session.call(REQUEST).cached
    assert session.cache.warnings() == []


def test_redis_full(make_session: Make, upstream: StubUpstream, redis_url: str) -> None:
    import redis

    session = make_session(cache={"url": redis_url})
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1")
        try:
            assert [session.call(REQUEST).cached for _ in range(3)] == [False] * 3
        finally:
            client.config_set("maxmemory", "0")


def test_a_secret_that_cannot_be_kept_lives_as_long_as_the_process(
    make_session: Make, monkeypatch: pytest.MonkeyPatch, upstream: StubUpstream
) -> None:
    def full(_: Any) -> bytes:
        raise OSError("No space left on device")

    monkeypatch.setattr(shelf, "secret_in", full)
    session = make_session()
    assert [session.call(REQUEST).cached for _ in range(2)] == [False, True]
    assert not make_session().call(REQUEST).cached


def test_the_cache_room_knows_no_pickle() -> None:
    from llmops_kernel import cache

    found = subprocess.run(
        ["grep", "-rnE", "(import|from) (pickle|marshal|shelve)", *cache.__path__],
        capture_output=True,
        check=False,
    )
    assert found.returncode == 1, found.stdout
