"""What the benchmarks share: figures, targets, the machine, and how results are shown.

Figures come from several rounds and are given as median and range. CPU time is preferred to wall
time wherever a target allows it: it says the same on a busy machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity over several rounds."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Summarize one value per round."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.least)}-{_short(self.most)})"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure is held against."""

    what: str
    bound: float
    got: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure keeps to the bound."""
        return self.got >= self.bound if self.at_least else self.got <= self.bound


@dataclass(slots=True)
class Report:
    """The result of one script: a table, the targets and the machine they were measured on."""

    name: str
    question: str
    columns: tuple[str, ...]
    packages: tuple[str, ...] = ()
    setup: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    peers: dict[str, str] = field(default_factory=dict)

    def add(self, **cells: Any) -> None:
        """Add a row; a column left out was not measured."""
        self.rows.append(cells)

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-like."""
        return {
            "name": self.name,
            "question": self.question,
            "machine": machine((*self.packages, "llmops-kernel"), self.peers),
            "setup": self.setup,
            "rows": [{key: _plain(value) for key, value in row.items()} for row in self.rows],
            "targets": [{**asdict(target), "met": target.met} for target in self.targets],
            "notes": self.notes,
        }

    def finish(self, options: argparse.Namespace) -> None:
        """Write the results file and print the table, or the JSON with ``--json``."""
        result = json.dumps(self.as_dict(), indent=2)
        if not options.quick:  # a quick look must not replace what was measured with care
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{self.name}.json").write_text(result + "\n", encoding="utf-8")
        if options.json:
            print(result)
            return
        print(f"{self.question}\n")
        _print_table(self.columns, self.rows)
        print()
        for target in self.targets:
            sign = ">=" if target.at_least else "<="
            print(
                f"{'met   ' if target.met else 'MISSED'}  {target.what}: {_short(target.got)} "
                f"{target.unit} (target {sign} {_short(target.bound)})"
            )
        for note in self.notes:
            print(f"note    {note}")


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with the flags that every script takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, for trying the script; writes no results"
    )
    return parser


def machine(packages: Sequence[str], peers: dict[str, str]) -> dict[str, Any]:
    """Describe where the figures come from, without naming the machine or its folders."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_average": [round(load, 1) for load in psutil.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "packages": {name: _version(name) for name in packages} | peers,
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the values do not pass (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its children, all threads, user and system."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += _cpu_clock_s(one)
    return total


def _cpu_clock_s(process: psutil.Process) -> float:
    try:
        # Linux's CPU clock of another process: nanoseconds, where /proc counts ticks of 10 ms.
        return time.clock_gettime(((~process.pid) << 3) | 2)
    except (OSError, OverflowError, AttributeError):
        spent = process.cpu_times()
        return float(spent.user + spent.system)


def child_cpu_s(command: Sequence[str], env: dict[str, str] | None = None) -> float:
    """Run a command to its end and return the CPU seconds it and its children took.

    Raises:
        SystemExit: The command failed.
    """
    with Path(os.devnull).open("wb") as nowhere:
        pid = os.posix_spawn(
            command[0],
            list(command),
            {**os.environ, **(env or {})},
            file_actions=[(os.POSIX_SPAWN_DUP2, nowhere.fileno(), 1)],
        )
        _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"this command failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    if isinstance(value, Figure):
        return {key: round(part, 6) if isinstance(part, float) else part
                for key, part in asdict(value).items()}  # fmt: skip
    return value


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def _print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return _short(value)
        return "-" if value is None else str(value)

    table = [columns, *([cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for number, line in enumerate(table):
        print(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        )
        if number == 0:
            print("  ".join("-" * width for width in widths))
