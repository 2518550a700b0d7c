"""Who owns what is open: a process, told apart from every other that ever had its number."""

from __future__ import annotations

import os
import platform
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llmops_kernel.processes import process_start


@dataclass(frozen=True, slots=True)
class Lease:
    """One process that may hold money or run spans.

    Attributes:
        lease_id: Unique name.
        machine: Host and process-number namespace (a container's numbers are its own).
        boot: The machine's boot; no process survives one.
        pid: Process number.
        pid_start: When that process started, in the system's own unit.
    """

    lease_id: str
    machine: str
    boot: str
    pid: int
    pid_start: str

    @classmethod
    def mine(cls) -> Lease:
        """Return a new lease of this process."""
        pid = os.getpid()
        return cls(uuid.uuid4().hex, _machine(), _boot(), pid, process_start(pid) or "")

    def is_dead(self) -> bool | None:
        """Whether the process is gone; None when this machine cannot know."""
        if self.machine != _machine():
            return None
        if self.boot != _boot():
            return True
        return process_start(self.pid) != self.pid_start


@cache
def _machine() -> str:
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{platform.node()} {namespace}".strip()


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        import psutil

        return str(round(psutil.boot_time() / 60))  # minutes: clocks are adjusted by seconds
