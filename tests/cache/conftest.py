"""A real Redis server, the three places answers can lie in, and sessions before a stub provider."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from llmops_kernel import Session
from llmops_kernel.cache.backend import Backend, Limits
from llmops_kernel.cache.record import RecordBackend
from llmops_kernel.store import Lease, open_store

sys.path.append(str(Path(__file__).parents[1] / "calls"))  # the stub provider

from cache_desk import USD
from margin_desk import EAGER
from stub_upstream import StubUpstream


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a real Redis server; a missing one is a failure, not a skip."""
    binary = shutil.which("redis-server")
    assert binary, "install redis-server (Debian's package) to run these tests"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        server = subprocess.Popen(
            [*command, "--appendonly", "no", "--dir", folder], stdout=subprocess.DEVNULL
        )
        try:
            _await(port, server)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("redis-server did not start")


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis database."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Where record and answers lie: ``store`` and ``url``."""
    if request.param == "postgres":
        return {"store": request.getfixturevalue("postgres_url"), "url": ""}
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    return {"store": f"sqlite:///{tmp_path / 'record.db'}", "url": url}


@pytest.fixture
def make_backend(place: dict[str, str]) -> Iterator[Callable[..., Backend]]:
    """Opens the place once more, as another process would."""
    with ExitStack() as stack:

        def make(lease: Lease | None = None, entries: int = 1_000, size: int = 10**9) -> Backend:
            limits = Limits(entries, size)
            backend: Backend
            if place["url"]:
                from llmops_kernel.cache.redis_server import RedisBackend

                backend = RedisBackend(place["url"], limits)
            else:
                store = open_store(place["store"])
                stack.callback(store.close)
                backend = RecordBackend(store, (lease or Lease.mine()).lease_id, limits)
            stack.callback(backend.close)
            return backend

        yield make


@pytest.fixture
def upstream(request: pytest.FixtureRequest) -> Iterator[StubUpstream]:
    """The provider: a module chooses another one by its ``UPSTREAM``."""
    kind: type[StubUpstream] = getattr(request.module, "UPSTREAM", StubUpstream)
    with kind() as server:
        yield server


@pytest.fixture
def make_session(upstream: StubUpstream, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Opens a session on one record whose model ``stub/stub-1`` costs `NANO_PER_CALL` a call."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Session:
            values: dict[str, Any] = {
                "store": f"sqlite:///{tmp_path / 'record.db'}",
                "providers": {"stub": {"base_url": upstream.base_url}},
                "prices": {"stub/stub-1": USD},
                "retries": 0,
                **settings,
            }
            return stack.enter_context(Session(**values))

        yield make


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    return make_session()


@pytest.fixture
def open_bank(make_session: Callable[..., Session]) -> Callable[..., Session]:
    """Opens a session whose margin tier needs little evidence."""

    def make(**settings: Any) -> Session:
        cache = {**EAGER, **settings.pop("cache", {})}
        return make_session(
            cache=cache, prices={"stub/stub-1": USD, "stub/judge-1": USD}, **settings
        )

    return make
