"""Rebuilds the balances from the event log and compares."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmops_kernel.store import ledger_rows

if TYPE_CHECKING:
    from llmops_kernel.store import Store


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A balance that differs from what its events add up to (nano-dollars)."""

    balance: str
    held: int
    spent: int
    held_by_events: int
    spent_by_events: int


def audit(store: Store) -> list[Mismatch]:
    """Return the balances that the event log does not explain; empty when all is well.

    Run it while nobody spends, or again: the log and the balances are read one after the other.
    """
    logged, kept = ledger_rows.projections(store)
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for keys, held, spent in logged:
        for key in json.loads(keys):
            sums[key][0] += int(held)
            sums[key][1] += int(spent)
    balances = {key: (held, spent) for key, held, spent in kept}
    return [
        Mismatch(key, *balances.get(key, (0, 0)), *sums.get(key, (0, 0)))
        for key in sorted(balances.keys() | sums.keys())
        if tuple(balances.get(key, (0, 0))) != tuple(sums.get(key, (0, 0)))
    ]
