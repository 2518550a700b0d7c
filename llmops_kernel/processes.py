"""When a process started: beside its number this tells it from any other that ever had it."""

from __future__ import annotations

from pathlib import Path


def process_start(pid: int) -> str | None:
    """Return when a process started, in the system's own unit; None when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _start_elsewhere(pid)
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    # Field 3 is the state, field 22 the start in clock ticks after boot.
    return None if fields[0] in "ZX" else fields[19]


def _start_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        return str(round(psutil.Process(pid).create_time(), 2))
    except psutil.Error:
        return None
