from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from llmops_kernel.budget import Charge, Ledger, Scopes, audit, control, nano
from llmops_kernel.errors import BudgetExceeded, SpendingStopped, StoreError, UsageProblem
from llmops_kernel.store import Store

SCOPES = Scopes("ann", "bank", "nb.ipynb", "run-1", "default", "gpt-4o", "openai/gpt-4o")
Make = Callable[..., Ledger]


def balances(ledger: Ledger, scopes: Scopes, book: str = "real") -> dict[str, tuple[str, str]]:
    """Spent and held dollars by scope."""
    return {
        status.cap.scope: (f"{status.spent.normalize():f}", f"{status.held.normalize():f}")
        for status in control.statuses(ledger, scopes)
        if status.book == book
    }


def hold(ledger: Ledger, hold_id: str, usd: str, scopes: Scopes = SCOPES, **more: Any) -> Any:
    values = {"book": "real", "model": "openai/gpt-4o", **more}
    return ledger.reserve(hold_id, scopes, amount=nano(Decimal(usd)), **values)


def test_settling_moves_from_held_to_spent(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "1"), ("run", "total", "1"))
    held = hold(ledger, "a/1", "0.30")
    assert balances(ledger, SCOPES) == {"user": ("0", "0.3"), "run": ("0", "0.3")}
    ledger.settle(held, Charge(nano(Decimal("0.10")), 5, 7))
    assert balances(ledger, SCOPES) == {"user": ("0.1", "0"), "run": ("0.1", "0")}
    assert audit(store) == []


def test_a_cap_is_all_or_nothing_over_all_caps(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "10"), ("run", "total", "0.50"), ("project", "month", "9"))
    with pytest.raises(BudgetExceeded) as caught:
        hold(ledger, "a/1", "0.51")
    assert (caught.value.scope, caught.value.window) == ("run", "total")
    assert caught.value.needed == nano(Decimal("0.51"))
    assert set(balances(ledger, SCOPES).values()) == {("0", "0")}
    assert audit(store) == []


def test_the_last_cent_can_be_used_and_no_more(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "0.05"))
    hold(ledger, "a/1", "0.05")
    with pytest.raises(BudgetExceeded):
        hold(ledger, "b/1", "0.000000001")


def test_zero_passes_an_exhausted_cap(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "0"))
    held = hold(ledger, "a/1", "0")
    ledger.settle(held, Charge(0, 3, 4))
    with pytest.raises(BudgetExceeded):
        hold(ledger, "b/1", "0.01")


def test_books_are_apart_under_the_same_cap(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    hold(ledger, "a/1", "1", book="simulated")
    hold(ledger, "b/1", "1", book="real")
    with pytest.raises(BudgetExceeded) as caught:
        hold(ledger, "c/1", "0.1", book="simulated")
    assert caught.value.book == "simulated"


def test_a_window_that_ends_starts_from_zero(make_ledger: Make, clock: Any) -> None:
    ledger = make_ledger(("user", "day", "1"))
    hold(ledger, "a/1", "1")
    clock.seconds += 86_400
    hold(ledger, "b/1", "1")


def test_a_call_over_midnight_settles_in_the_window_it_was_reserved_in(
    make_ledger: Make, clock: Any, store: Store
) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "1")
    clock.seconds += 86_400
    ledger.settle(held, Charge(nano(Decimal("0.4"))))
    assert balances(ledger, SCOPES) == {"user": ("0", "0")}
    clock.seconds -= 100  # within the slack between machines
    assert audit(store) == []
    assert [e.spent_nano for e in control.history(ledger, 5, None)][0] == nano(Decimal("0.4"))


def test_model_caps_count_each_model_or_one(make_ledger: Make) -> None:
    ledger = make_ledger(("model", "day", "1"), ("model", "day", "0.10", "gpt-4o"))
    mini = replace(SCOPES, model="gpt-4o-mini", model_name="openai/gpt-4o-mini")
    with pytest.raises(BudgetExceeded):
        hold(ledger, "a/1", "0.11")
    hold(ledger, "b/1", "0.10")
    hold(ledger, "c/1", "0.90", mini)
    with pytest.raises(BudgetExceeded):
        hold(ledger, "d/1", "0.11", mini)


def test_two_caps_on_one_balance_hold_once_and_the_lower_counts(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "5"), ("user", "day", "0.20"))
    hold(ledger, "a/1", "0.15")
    assert balances(ledger, SCOPES)["user"] == ("0", "0.15")
    with pytest.raises(BudgetExceeded):
        hold(ledger, "b/1", "0.06")


def test_settling_twice_books_once(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "0.30")
    for _ in range(3):
        ledger.settle(held, Charge(nano(Decimal("0.10"))))
    assert balances(ledger, SCOPES)["user"] == ("0.1", "0")
    assert audit(store) == []


def test_reserving_an_open_id_again_holds_nothing_more(make_ledger: Make, store: Store) -> None:
    ledger = make_ledger(("user", "day", "1"))
    hold(ledger, "a/1", "0.30")
    with pytest.raises(StoreError, match="reserved already"):
        hold(ledger, "a/1", "0.30")
    assert balances(ledger, SCOPES)["user"] == ("0", "0.3")
    assert audit(store) == []


def test_an_overrun_is_charged_and_noted(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "0.30")
    ledger.settle(held, Charge(nano(Decimal("1.20"))))
    assert balances(ledger, SCOPES)["user"] == ("1.2", "0")
    event = control.history(ledger, 1, None)[0]
    assert event.detail["overrun"] == nano(Decimal("0.90"))
    with pytest.raises(BudgetExceeded):
        hold(ledger, "b/1", "0.01")


def test_stop_reaches_other_ledgers_at_their_next_call(make_ledger: Make) -> None:
    one, two = make_ledger(("user", "day", "1")), make_ledger(("user", "day", "1"))
    hold(two, "a/1", "0.1")
    control.stop(one, "user", "ann", "over the weekend", "ann")
    assert control.stopped(two, SCOPES) == "over the weekend"
    with pytest.raises(SpendingStopped) as caught:
        hold(two, "b/1", "0")
    assert "over the weekend" in caught.value.sentence()
    hold(two, "c/1", "0.1", replace(SCOPES, user="bob"))
    assert control.resume(two, "user", "ann", "ann")
    assert not control.resume(two, "user", "ann", "ann")
    hold(two, "d/1", "0.1")


def test_set_and_raise_reach_other_ledgers(make_ledger: Make, clock: Any) -> None:
    one, two = make_ledger(("user", "day", "1")), make_ledger(("user", "day", "1"))
    control.set_limit(one, SCOPES, Decimal("2"), "user", "day")
    hold(two, "a/1", "2")
    control.raise_limit(two, SCOPES, Decimal("0.5"), "user", "day")
    hold(one, "b/1", "0.5")
    with pytest.raises(BudgetExceeded) as caught:
        hold(one, "c/1", "0.01")
    assert caught.value.limit == nano(Decimal("2.5"))
    clock.seconds += 86_400  # the raise is over, the setting stays
    with pytest.raises(BudgetExceeded) as caught:
        hold(one, "d/1", "2.01")
    assert caught.value.limit == nano(Decimal("2"))
    sources = {s.source for s in control.statuses(one, SCOPES)}
    assert sources == {"set"}


def test_set_after_raise_is_what_holds(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    control.raise_limit(ledger, SCOPES, Decimal("5"), "user", "day")
    control.set_limit(ledger, SCOPES, Decimal("0.5"), "user", "day")
    with pytest.raises(BudgetExceeded):
        hold(ledger, "a/1", "0.51")


def test_set_makes_a_cap_that_was_not_there(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    control.set_limit(ledger, SCOPES, Decimal("0.2"), "project", "total")
    with pytest.raises(BudgetExceeded) as caught:
        hold(ledger, "a/1", "0.21")
    assert caught.value.scope == "project"
    with pytest.raises(UsageProblem):
        control.raise_limit(ledger, SCOPES, Decimal("1"), "tenant", "day")


@pytest.mark.parametrize("source", ["argument", "run"])
def test_fixed_caps_are_not_changed_by_commands(make_ledger: Make, source: str) -> None:
    free = make_ledger(("user", "day", "1"))
    control.set_limit(free, SCOPES, Decimal("100"), "user", "day")
    ledger = make_ledger(("user", "day", "0.05"), source=source)
    with pytest.raises(BudgetExceeded):
        hold(ledger, "a/1", "0.06")
    for change in (control.set_limit, control.raise_limit):
        with pytest.raises(UsageProblem):
            change(ledger, SCOPES, Decimal("1"), "user", "day")


def test_a_clock_that_went_backwards_refuses(make_ledger: Make, clock: Any) -> None:
    ledger = make_ledger(("user", "day", "1"))
    hold(ledger, "a/1", "0.1")
    clock.seconds -= 3_600
    with pytest.raises(StoreError, match="clock"):
        hold(ledger, "b/1", "0.1")
    with pytest.raises(StoreError, match="clock"):
        hold(make_ledger(("user", "day", "1")), "c/1", "0.1")


def test_refusals_are_logged_once_per_cap(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "0.05"))
    for number in range(20):
        with pytest.raises(BudgetExceeded):
            hold(ledger, f"{number}/1", "1")
    assert [e.kind for e in control.history(ledger, 50, None)] == ["refuse"]


def test_alerts_fire_once_per_step_whoever_settles(make_ledger: Make, store: Store) -> None:
    from llmops_kernel.store import ledger_rows

    one, two = make_ledger(("user", "day", "1")), make_ledger(("user", "day", "1"))
    for number, ledger in enumerate((one, two, one, two, one, two)):
        held = hold(ledger, f"{number}/1", "0.15")
        ledger.settle(held, Charge(nano(Decimal("0.15"))))
    sentences = ledger_rows.take_unshown_alerts(store)
    assert [s.split(" %")[0] for s in sentences] == ["50", "80"]
    assert ledger_rows.take_unshown_alerts(store) == []


def test_what_could_not_be_settled_is_settled_before_the_next_call(
    make_ledger: Make, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "0.30")
    real = store.transaction

    def broken() -> Any:
        raise StoreError("The disk of the record is full")

    monkeypatch.setattr(store, "transaction", broken)
    ledger.settle(held, Charge(nano(Decimal("0.10"))))
    with pytest.raises(StoreError):
        hold(ledger, "b/1", "0.1")
    monkeypatch.setattr(store, "transaction", real)
    hold(ledger, "c/1", "0.1")
    assert balances(ledger, SCOPES)["user"] == ("0.1", "0.1")


def test_events_say_who_and_what(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "0.2", cell_id="c1", call_id="a", price_version="v9")
    ledger.settle(held, Charge(7, 11, 13, estimated=True, detail={"ending": "cancelled"}))
    settle, reserve = control.history(ledger, 2, None)
    assert (reserve.kind, settle.kind) == ("reserve", "settle")
    assert (settle.user, settle.notebook, settle.cell_id, settle.run_id) == (
        "ann", "nb.ipynb", "c1", "run-1",
    )  # fmt: skip
    assert settle.estimated
    assert settle.detail == {"ending": "cancelled", "price": "v9"}
    json.dumps(settle.detail)


def test_dispatch_must_be_marked_before_a_waiting_hold_leaves(make_ledger: Make) -> None:
    ledger = make_ledger(("user", "day", "1"))
    held = hold(ledger, "a/1", "0.2", dispatched=False)
    ledger.mark_dispatched(held)
    ledger.release(held, "changed my mind")
    with pytest.raises(StoreError):
        ledger.mark_dispatched(held)
