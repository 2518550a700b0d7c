"""Starts and stops the HTTP endpoint."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.endpoint.info import EndpointInfo
from llmops_kernel.errors import SettingsError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.web import ServerRunner

    from llmops_kernel.calls.endpoint.door import Door
    from llmops_kernel.calls.loop import BackgroundLoop

_GRACE_S = 0.5
# Servers of a parent process; a forked child must not close them.
_ORPHANS: list[Any] = []


class Endpoint:
    """An OpenAI-compatible HTTP server in front of a door.

    Args:
        door: What serves the calls.
        loop: The loop it runs on.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token: The bearer token; made up when empty.
        hosts: Names, beside the loopback ones, that the Host header may have.
        trust_user: Whether callers may say who they are (``x-llmops-user``), for a gateway that
            serves a team.
        max_bytes: Size a request body may have, unpacked.
    """

    def __init__(
        self,
        door: Door,
        loop: BackgroundLoop,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        hosts: Collection[str] = (),
        trust_user: bool = False,
        max_bytes: int = 64 * 2**20,
    ) -> None:
        self._door = door
        self._loop = loop
        self._host = host
        self._port = port
        self._token = token or f"llmops-{secrets.token_urlsafe(24)}"
        self._hosts = frozenset(hosts)
        self._trust_user = trust_user
        self._max_bytes = max_bytes
        self._runner: ServerRunner | None = None
        self._socket: socket.socket | None = None
        self._served_by: asyncio.AbstractEventLoop | None = None
        self._pid = 0
        self._info: EndpointInfo | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._info is not None

    @property
    def info(self) -> EndpointInfo:
        """Where it listens, and what opens it (raises `UsageProblem` before `start`)."""
        if self._info is None:
            raise UsageProblem("The endpoint is not running", hint="Start it first")
        return self._info

    def start(self) -> EndpointInfo:
        """Listen, and return where.

        Raises:
            SettingsError: The address cannot be used.
        """
        if self._info is not None:
            return self._info
        self._socket = self._listen()
        try:
            self._loop.run(self._serve(self._socket))
        except BaseException:
            self._socket.close()
            raise
        self._pid = os.getpid()
        port = self._socket.getsockname()[1]
        self._info = EndpointInfo(f"http://{_reachable(self._host)}:{port}/v1", self._token)
        return self._info

    def stop(self) -> None:
        """Stop listening; calls in flight are cancelled after half a second."""
        runner, sock = self._runner, self._socket
        self._info = self._runner = self._socket = None
        if runner is None or sock is None:
            return
        if self._pid != os.getpid():  # the parent serves on
            _ORPHANS.append((runner, sock))
            return
        if self._loop.running:
            self._loop.run(self._close(runner))
        sock.close()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            if not 0 <= self._port < 2**16:
                raise OSError("the port must be between 0 and 65535")
            return socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise SettingsError(
                "The endpoint cannot listen at this address",
                detail=f"{self._host}:{self._port}: {error.strerror or error}",
                hint="Choose another port, or 0 for a free one",
            ) from error

    async def _serve(self, sock: socket.socket) -> None:
        from aiohttp import web

        from llmops_kernel.calls.endpoint.access import Gate
        from llmops_kernel.calls.endpoint.app import App

        gate = Gate(self._token, self._hosts, trust_user=self._trust_user)
        app = App(self._door, gate, self._max_bytes)
        # A caller that leaves cancels its call, so that no more is spent on it.
        server = web.Server(app.handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=_GRACE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()
        self._served_by = asyncio.get_running_loop()

    async def _close(self, runner: ServerRunner) -> None:
        if self._served_by is asyncio.get_running_loop():  # or its loop was stopped before it
            await runner.cleanup()


def _reachable(host: str) -> str:
    """Return the host as clients on this machine write it."""
    if host in {"0.0.0.0", "", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
