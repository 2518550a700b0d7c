"""Processes that live on their own: started detached, known by number and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from llmops_kernel.calls.keys import DOOR_KEY
from llmops_kernel.calls.providers import key_names
from llmops_kernel.errors import EngineFailed, UsageProblem
from llmops_kernel.serve.record import Process

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from llmops_kernel.serve.record import Replica

_GRACE_S = 5.0
_STEP_S = 0.02
# Start times are read in different ways on different systems, and rounded.
_SAME_START_S = 0.05

# How children of this process have ended: a process is asked only once.
_ended: dict[Process, int] = {}


def spawn(argv: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
    """Start a program in a session of its own, its output added to a log.

    Args:
        argv: The program and its arguments.
        env: Its whole environment.
        log: The file for its output; made readable by the owner only.

    Raises:
        EngineFailed: It cannot be started.
    """
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            dict(env),
            setsid=True,
            setsigdef=(signal.SIGINT, signal.SIGTERM),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, handle, 1),
                (os.POSIX_SPAWN_DUP2, handle, 2),
            ],
        )
    except OSError as error:
        raise EngineFailed(
            "The engine's program cannot be started", detail=f"{argv[0]}: {error.strerror or error}"
        ) from error
    finally:
        os.close(handle)
    return Process(pid, _start_of(pid) or time.time())


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without provider keys and doors, and with more."""
    hidden = {*key_names(), "OPENAI_BASE_URL", "OPENAI_API_BASE", "LLMOPS_OUTER_DOOR"}
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in hidden and not key.endswith("_API_KEY") and not value.startswith(DOOR_KEY)
    }
    return {**env, **extra}


def this_process() -> Process:
    """Return the process that asks."""
    return Process(os.getpid(), _start_of(os.getpid()) or 0.0)


def alive(process: Process) -> bool:
    """Whether a process still runs: the same one, and no zombie."""
    _reap(process)
    started = _start_of(process.pid)
    return started is not None and abs(started - process.started) <= _SAME_START_S


def living(replicas: Iterable[Replica]) -> list[Replica]:
    """Return the replicas whose process runs; one that somebody else runs is none of them."""
    return [each for each in replicas if each.process and alive(each.process)]


def end(process: Process, grace_s: float = _GRACE_S) -> bool:
    """End a process and what it has started, at first politely; say whether it had run.

    Never touches another process that has got the same number since.
    """
    if not alive(process):
        return False
    for number, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if not alive(process):
                return True
            time.sleep(_STEP_S)
    return True


def exit_text(process: Process) -> str:
    """Return how a child of this process ended; "" if it runs, or is not ours."""
    _reap(process)
    code = _ended.get(process)
    if code is None:
        return ""
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def resident_bytes(process: Process) -> int | None:
    """Return the memory a process and its children have in use; None if it is gone."""
    import psutil

    try:
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
        return sum(each.memory_info().rss for each in family)
    except psutil.Error:
        return None


def free_port(asked: int = 0) -> int:
    """Return a port of 127.0.0.1 that nothing listens on.

    Raises:
        UsageProblem: The one that was asked for is taken.
    """
    with socket.socket() as probe:
        if asked:  # as servers do: a port in TIME_WAIT is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", asked))
        except (OSError, OverflowError) as error:
            raise UsageProblem(
                "The port is taken", detail=f"127.0.0.1:{asked}: {error}",
                hint="Give another --port, or none for any free one",
            ) from error  # fmt: skip
        port: int = probe.getsockname()[1]
    return port


def tail(log: Path, lines: int = 40) -> str:
    """Return the last lines of a log; "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _reap(process: Process) -> None:
    """Let a child of ours go if it has ended, and remember how."""
    if process in _ended:
        return
    with contextlib.suppress(ChildProcessError):
        pid, status = os.waitpid(process.pid, os.WNOHANG)
        if pid:
            _ended[process] = os.waitstatus_to_exitcode(status)


def _start_of(pid: int) -> float | None:
    import psutil

    try:
        found = psutil.Process(pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(found.create_time())
    except psutil.Error:
        return None
