"""A process that spends until its parent kills it: run with the record's URL and a number."""

from __future__ import annotations

import random
import sys
from decimal import Decimal

from llmops_kernel.budget import ActiveCap, Charge, Ledger, Scopes, reap
from llmops_kernel.errors import BudgetExceeded
from llmops_kernel.settings import Cap
from llmops_kernel.store import open_store

CAPS = (("user", "day", "0.00002"), ("run", "total", "0.00001"), ("model", "month", "0.00004"))


def main(url: str, number: int, seed: int) -> None:
    """Reserve and settle at random; print a line per call, so that the parent sees progress."""
    chance = random.Random(seed)
    caps = [ActiveCap(Cap(scope=s, window=w, usd=Decimal(u))) for s, w, u in CAPS]  # type: ignore[arg-type]
    ledger = Ledger(open_store(url), caps)
    scopes = Scopes("ann", "p", "n", f"run-{number % 2}", "t", "m", "x/m")
    for count in range(100_000):
        amount = chance.randint(1, 400)
        dispatched = chance.random() < 0.7
        try:
            hold = ledger.reserve(
                f"{seed}-{number}-{count}",
                scopes,
                amount=amount,
                book="real",
                model="x/m",
                dispatched=dispatched,
            )
        except BudgetExceeded:
            reap(ledger)
            continue
        if not dispatched:
            ledger.mark_dispatched(hold)
        ledger.settle(hold, Charge(chance.randint(0, min(amount, 40)), 1, 1))
        if count % 20 == 0:
            print(count, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
