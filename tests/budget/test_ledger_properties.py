"""A random life of a ledger against a plain model of it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from llmops_kernel.budget import ActiveCap, Charge, Hold, Ledger, Scopes, audit, control, usd
from llmops_kernel.errors import BudgetExceeded, SpendingStopped
from llmops_kernel.settings import Cap
from llmops_kernel.store import open_store

_USERS = ("ann", "bob")
_MODELS = ("small", "large")
_AMOUNTS = st.integers(min_value=0, max_value=600)
_CAPS = (("user", "day", 1_000), ("user", "month", 2_500), ("project", "total", 3_000),
         ("model", "hour", 700))  # fmt: skip
_START = 1_790_000_000.0


class LedgerLife(RuleBasedStateMachine):
    """Two ledgers on one record; amounts are nano-dollars small enough to meet the caps."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(f"sqlite:///{self.folder.name}/record.db")
        self.seconds = _START
        caps = [
            ActiveCap(Cap(scope=s, window=w, usd=Decimal(n) / 10**9))
            for s, w, n in _CAPS  # type: ignore[arg-type]
        ]
        self.ledgers = [Ledger(self.store, caps, clock=lambda: self.seconds) for _ in range(2)]
        self.count = 0
        self.stopped = False
        self.set_for_ann: int | None = None
        # What the plain model thinks: (scope, value, window, start, book) -> [held, spent].
        self.model: dict[tuple[Any, ...], list[int]] = {}
        self.overrun: set[tuple[Any, ...]] = set()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(
        target=holds,
        which=st.integers(0, 1),
        amount=_AMOUNTS,
        user=st.sampled_from(_USERS),
        model=st.sampled_from(_MODELS),
        book=st.sampled_from(("real", "simulated")),
    )
    def reserve(self, which: int, amount: int, user: str, model: str, book: Any) -> Any:
        self.count += 1
        scopes = replace(Scopes(user, "p", "n", "r", "t"), model=model, model_name=f"x/{model}")
        keys = self._keys(scopes, book)
        fits = amount == 0 or all(
            sum(self.model.get(key, (0, 0))) + amount <= self._limit(key) for key in keys
        )
        try:
            hold = self.ledgers[which].reserve(
                f"{self.count}", scopes, amount=amount, book=book, model=model
            )
        except BudgetExceeded:
            assert not fits
            assert not self.stopped
            return None
        except SpendingStopped:
            assert self.stopped
            return None
        assert fits
        assert not self.stopped
        if amount:
            for key in keys:
                self.model.setdefault(key, [0, 0])[0] += amount
        return hold, keys if amount else []

    @rule(held=consumes(holds), which=st.integers(0, 1), cost=_AMOUNTS)
    def settle(self, held: tuple[Hold, list[Any]] | None, which: int, cost: int) -> None:
        if held is None:
            return
        hold, keys = held
        for _ in range(2):  # the second time does nothing
            self.ledgers[which].settle(hold, Charge(cost))
        for key in keys:
            self.model[key][0] -= hold.amount
            self.model[key][1] += cost
            if cost > hold.amount:
                self.overrun.add(key)

    @rule(seconds=st.sampled_from((1, 3_600, 86_400, 86_400 * 31)))
    def time_passes(self, seconds: int) -> None:
        self.seconds += seconds

    @rule(which=st.integers(0, 1), limit=st.integers(0, 4_000))
    def set_user_day(self, which: int, limit: int) -> None:
        scopes = Scopes("ann", "p", "n", "r", "t")
        control.set_limit(self.ledgers[which], scopes, usd(limit), "user", "day")
        # A limit belongs to one value: bob keeps his.
        self.set_for_ann = limit

    @precondition(lambda self: not self.stopped)
    @rule(which=st.integers(0, 1))
    def stop(self, which: int) -> None:
        control.stop(self.ledgers[which], "all", "", "", "ann")
        self.stopped = True

    @precondition(lambda self: self.stopped)
    @rule(which=st.integers(0, 1))
    def resume(self, which: int) -> None:
        assert control.resume(self.ledgers[which], "all", "", "ann")
        self.stopped = False

    @invariant()
    def balances_equal_the_log(self) -> None:
        assert audit(self.store) == []

    @invariant()
    def balances_equal_the_model(self) -> None:
        rows = self.store.read(
            "SELECT scope, scope_key, window_kind, window_start, book, held, spent FROM balance"
        )
        kept = {tuple(row[:5]): [row[5], row[6]] for row in rows}
        assert {k: v for k, v in kept.items() if v != [0, 0]} == {
            k: v for k, v in self.model.items() if v != [0, 0]
        }

    @invariant()
    def no_cap_is_passed(self) -> None:
        for key, (held, spent) in self.model.items():
            # A limit may be set below what is spent already.
            if key not in self.overrun and key[:3] != ("user", "ann", "day"):
                assert held + spent <= self._limit(key)

    def _limit(self, key: tuple[Any, ...]) -> int:
        if key[:3] == ("user", "ann", "day") and self.set_for_ann is not None:
            return self.set_for_ann
        return next(n for scope, window, n in _CAPS if (scope, window) == (key[0], key[2]))

    def _keys(self, scopes: Scopes, book: str) -> list[tuple[Any, ...]]:
        from llmops_kernel.budget.windows import MICRO, window_bounds

        at = int(self.seconds * MICRO)
        keys = []
        for scope, window, _ in _CAPS:
            start = window_bounds(window, at, "UTC")[0]  # type: ignore[arg-type]
            keys.append((scope, getattr(scopes, scope), window, start, book))
        return keys


TestLedgerLife = LedgerLife.TestCase
TestLedgerLife.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
