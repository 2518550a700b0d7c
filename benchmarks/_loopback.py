"""Serving on a free port of loopback until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def serve(handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
    """Print the port, and hand every request to one function until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    sock = socket.create_server(("127.0.0.1", 0), backlog=256)
    await web.SockSite(runner, sock).start()
    print(sock.getsockname()[1], flush=True)
    await stopped.wait()
    await runner.cleanup()
