"""Eight processes spend on one record and are killed at random: no cap is passed, nothing lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest

from llmops_kernel.budget import ActiveCap, Charge, Ledger, Scopes, audit, control, nano, reap
from llmops_kernel.settings import Cap
from llmops_kernel.store import Lease, Store, open_store

pytestmark = pytest.mark.faults

_WORKER = Path(__file__).with_name("ledger_worker.py")
_LIMITS = {"user": 20_000, "run": 10_000, "model": 40_000}


def _spawn(url: str, number: int, seed: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(_WORKER), url, str(number), str(seed)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_random_kills_never_pass_a_cap_nor_lose_an_event(store_url: str, store: Store) -> None:
    chance = random.Random(7)
    running = [_spawn(store_url, number, 0) for number in range(8)]
    try:
        for generation in range(1, 9):
            _wait_for_settlements(store, 8 * generation)
            victim = chance.randrange(8)
            running[victim].send_signal(signal.SIGKILL)
            running[victim].communicate()
            running[victim] = _spawn(store_url, victim, generation)
            _assert_within_caps(store)
        _wait_for_settlements(store, 72)
    finally:
        for process in running:
            process.send_signal(signal.SIGKILL)
        errors = [process.communicate()[1].decode() for process in running]
    assert not any(errors), errors
    watcher = Ledger(store, [])
    reap(watcher)
    _assert_within_caps(store)
    assert audit(store) == []
    assert store.read("SELECT hold_id FROM hold WHERE state = 'held'") == []
    kinds = dict(store.read("SELECT kind, COUNT(*) FROM event GROUP BY kind"))
    closed = sum(kinds.get(kind, 0) for kind in ("settle", "release", "expire"))
    assert kinds["reserve"] == closed
    assert kinds["settle"] > 50


def _wait_for_settlements(store: Store, wanted: int) -> None:
    """Let the processes work: a moment, and longer on a slow machine until they got somewhere."""
    time.sleep(0.3)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if store.read("SELECT COUNT(*) FROM event WHERE kind = 'settle'")[0][0] >= wanted:
            return
        time.sleep(0.1)


def _assert_within_caps(store: Store) -> None:
    for scope, spent, held in store.read("SELECT scope, spent, held FROM balance"):
        assert spent + held <= _LIMITS[scope], (scope, spent, held)
        assert held >= 0


_ONE_HOLD = """
import sys
from decimal import Decimal
from llmops_kernel.budget import ActiveCap, Ledger, Scopes, nano
from llmops_kernel.settings import Cap
from llmops_kernel.store import open_store
caps = [ActiveCap(Cap(scope="user", window="day", usd=Decimal(1)))]
ledger = Ledger(open_store(sys.argv[1]), caps)
ledger.reserve("a/1", Scopes("ann", "p", "n", "r", "t"), amount=nano(Decimal("0.4")), book="real",
               model="m", dispatched=sys.argv[2] == "yes")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("dispatched", "spent"), [("yes", "0.4"), ("no", "0")])
def test_kill_between_reserve_and_settle(
    store_url: str, store: Store, dispatched: str, spent: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _ONE_HOLD, store_url, dispatched],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    caps = [ActiveCap(Cap(scope="user", window="day", usd=Decimal(1)))]
    ledger = Ledger(store, caps)
    scopes = Scopes("ann", "p", "n", "r", "t")
    assert reap(ledger) == 0, "the owner lives"
    process.kill()
    process.communicate()
    assert reap(ledger) == 1
    assert reap(ledger) == 0
    status = next(s for s in control.statuses(ledger, scopes) if s.book == "real")
    assert (status.spent, status.held) == (Decimal(spent), Decimal(0))
    assert audit(store) == []


def test_a_settlement_after_the_owner_was_thought_dead_books_the_difference(
    store_url: str, store: Store
) -> None:
    caps = [ActiveCap(Cap(scope="user", window="day", usd=Decimal(1)))]
    scopes = Scopes("ann", "p", "n", "r", "t")
    owner_store = open_store(store_url)
    owner = Ledger(owner_store, caps)
    held = owner.reserve(
        "a/1", scopes, amount=nano(Decimal("0.4")), book="real", model="m", seconds=0.0
    )
    # Another machine that has not been heard of since long before its call was over.
    with store.transaction() as tx:
        tx.run("UPDATE lease SET machine = 'elsewhere', heartbeat = 0")
        tx.run("UPDATE hold SET expires = 0")
    other = Ledger(store, caps)
    assert reap(other) == 1
    owner.settle(held, Charge(nano(Decimal("0.1")), 1, 1))
    status = next(s for s in control.statuses(other, scopes) if s.book == "real")
    assert (status.spent, status.held) == (Decimal("0.1"), Decimal(0))
    assert audit(store) == []
    owner_store.close()


def test_a_reused_process_number_is_not_the_old_process() -> None:
    mine = Lease.mine()
    assert mine.is_dead() is False
    recycled = Lease(mine.lease_id, mine.machine, mine.boot, mine.pid, "1")
    assert recycled.is_dead() is True
    rebooted = Lease(mine.lease_id, mine.machine, "another boot", mine.pid, mine.pid_start)
    assert rebooted.is_dead() is True
    elsewhere = Lease(mine.lease_id, "elsewhere", mine.boot, mine.pid, mine.pid_start)
    assert elsewhere.is_dead() is None
