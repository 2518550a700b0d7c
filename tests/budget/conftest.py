from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from llmops_kernel.budget import ActiveCap, Ledger, Scopes
from llmops_kernel.settings import Cap
from llmops_kernel.store import Store

SCOPES = Scopes("ann", "bank", "nb.ipynb", "run-1", "default", "gpt-4o", "openai/gpt-4o")
NOON = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = NOON

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_ledger(store: Store, clock: Clock) -> Callable[..., Ledger]:
    """Builds a ledger over the record; caps as (scope, window, usd[, key])."""

    def make(*caps: tuple[Any, ...], source: str = "settings", **more: Any) -> Ledger:
        active = [
            ActiveCap(
                Cap(scope=c[0], window=c[1], usd=Decimal(c[2]), key=c[3] if len(c) > 3 else None),
                source,  # type: ignore[arg-type]
            )
            for c in caps
        ]
        return Ledger(store, active, clock=clock, **more)

    return make
