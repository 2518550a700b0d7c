"""What a run has cost so far, read from the ledger by another process than the one that spends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llmops_kernel.budget.status import usd

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Cost:
    """What some calls came to.

    Attributes:
        calls: Calls that were settled.
        input_tokens: Tokens read by models.
        output_tokens: Tokens written by models.
        real_nano: Real nano-dollars.
        simulated_nano: Simulated nano-dollars, never added to real ones.
    """

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    real_nano: int = 0
    simulated_nano: int = 0

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.real_nano + other.real_nano,
            self.simulated_nano + other.simulated_nano,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.calls - other.calls,
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.real_nano - other.real_nano,
            self.simulated_nano - other.simulated_nano,
        )

    def facts(self) -> dict[str, int | str]:
        """Return calls, tokens and dollars as JSON-like values; dollars are exact decimal texts."""
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "usd": f"{usd(self.real_nano):f}",
            "simulated_usd": f"{usd(self.simulated_nano):f}",
        }


@dataclass(frozen=True, slots=True)
class RunCosts:
    """What a run came to.

    Attributes:
        by_cell: Costs by cell id, in the order in which cells first spent; ``""`` stands for
            calls from outside any cell.
    """

    run_id: str
    by_cell: dict[str, Cost] = field(default_factory=dict)

    @property
    def total(self) -> Cost:
        """All cells together."""
        return sum(self.by_cell.values(), Cost())

    def of(self, cell_id: str) -> Cost:
        """Return one cell's cost."""
        return self.by_cell.get(cell_id, Cost())


@dataclass(frozen=True, slots=True)
class RunCalls:
    """What a run called.

    Attributes:
        models: Ids of the models.
        prices: Versions of the prices that calls were settled at.
        prompts: Hashes of the requests, each once, in order.
    """

    models: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


class CostReader:
    """Reads what a run has cost so far.

    Args:
        store_url: Where the record is.

    Raises:
        StoreError: The record cannot be used. The kernel would refuse every call as well.
    """

    def __init__(self, store_url: str, run_id: str) -> None:
        from llmops_kernel.store import open_store

        self._store = open_store(store_url)
        self._run_id = run_id
        # A run inside a run shares its id, and its budget; what was spent before is the outer's.
        self._before: dict[str, Cost] = {}
        self._before = self._by_cell()

    @property
    def label(self) -> str:
        """Where the record is, without its password."""
        return self._store.label

    def costs(self) -> RunCosts:
        """Return what has been settled."""
        return RunCosts(self._run_id, self._by_cell())

    def calls(self) -> RunCalls:
        """Return what has been called; reads every request of the run, so once, at its end."""
        from llmops_kernel.store import ledger_rows, span_rows

        details = ledger_rows.models_of_run(self._store, self._run_id)
        spans = span_rows.inputs_of_run(self._store, self._run_id)
        return RunCalls(
            models=tuple(model for model, _ in details),
            prices=_distinct((detail for _, detail in details), "price"),
            prompts=_distinct((attributes for attributes, _ in spans), "fingerprint"),
        )

    def _by_cell(self) -> dict[str, Cost]:
        from llmops_kernel.store import ledger_rows

        found: dict[str, Cost] = {}
        rows = ledger_rows.costs_by_cell(self._store, self._run_id)
        for cell_id, book, calls, read, written, spent in rows:
            money = {"real_nano" if book == "real" else "simulated_nano": int(spent)}
            cost = Cost(int(calls), int(read), int(written), **money)
            found[cell_id] = found.get(cell_id, Cost()) + cost
        nothing = Cost()
        since = {cell: cost - self._before.get(cell, nothing) for cell, cost in found.items()}
        return {cell: cost for cell, cost in since.items() if cost != nothing}

    def settle_dead(self) -> None:
        """Book what the run's kernel left open, if it was killed."""
        from llmops_kernel.budget import Ledger, reap

        reap(Ledger(self._store, ()))

    def close(self) -> None:
        """Close the record."""
        self._store.close()


def _distinct(texts: Iterable[str], key: str) -> tuple[str, ...]:
    found = (json.loads(text or "{}").get(key) for text in texts)
    return tuple(dict.fromkeys(str(value) for value in found if value))
