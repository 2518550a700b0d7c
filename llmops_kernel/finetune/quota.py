"""What this machine really gives a process: CPUs and memory, by cgroups and affinity."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60


def cpu_quota(root: Path = _CGROUP) -> int:
    """Return how many CPUs may be used at once, at least 1.

    A container that may use two of 64 CPUs would train many times slower with 64 threads.

    Args:
        root: Where control groups are mounted.
    """
    try:
        cpus = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS
        cpus = float(os.cpu_count() or 1)
    quota = _pair(root / "cpu.max")
    if quota is None:
        limit = _number(root / "cpu/cpu.cfs_quota_us")
        period = _number(root / "cpu/cpu.cfs_period_us")
        quota = limit / period if limit and period and limit > 0 else None
    return max(1, math.floor(min(cpus, quota or cpus)))


def memory_quota(root: Path = _CGROUP) -> int:
    """Return the bytes of memory this process may use: the machine's, or its control group's."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        total = _NO_LIMIT
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = _number(root / name)
        if limit and 0 < limit < total:
            total = int(limit)
    return total


def oom_kills(root: Path = _CGROUP) -> int:
    """Return how often the kernel has killed a process here because memory ran out."""
    for path in (root / "memory.events", Path("/proc/vmstat")):
        try:
            lines = path.read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def _pair(path: Path) -> float | None:
    try:
        limit, period = path.read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        return None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
