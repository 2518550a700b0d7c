"""``%budget`` against the real ledger."""

from decimal import Decimal
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

from llmops_kernel import BudgetExceeded, SpendingStopped, UsageProblem, current_session
from llmops_kernel.magics.results import Budget, History


def limit(budget, window="day"):
    (found,) = {each.limit for each in budget if each.cap.window == window}
    return found


def test_the_caps_are_shown(run, shell):
    budget = run("%budget").result
    assert isinstance(budget, Budget)
    assert len(budget) == 4  # two caps in two books
    assert (limit(budget), limit(budget, "month")) == (5, 50)
    data, metadata = DisplayFormatter(parent=shell).format(budget)
    assert set(data) == {"text/plain", "text/html"}
    assert len(metadata["llmops"]["caps"]) == 4


def test_setting_is_exact_and_holds(run):
    budget = run("%budget set $0.10 --per day").result
    assert limit(budget) == Decimal("0.1")
    assert limit(run("%budget show").result) == Decimal("0.1")


def test_a_cap_of_another_scope_and_window(run):
    budget = run("%budget set 1 --per hour --scope project -q -o b;").result
    assert budget is None
    found = [each for each in run("%budget").result if each.cap.scope == "project"]
    assert {(each.cap.window, each.limit) for each in found} == {("hour", Decimal(1))}


def test_raising_adds_in_this_window(run):
    run("%budget set 1.00")
    assert limit(run("%budget raise 0.50").result) == Decimal("1.5")


def test_zero_forbids_what_costs(run):
    run("%budget set 0")
    assert type(run("%ask -m sim/gpt-4o hi").error_in_exec) is BudgetExceeded
    assert run("%ask hi").success  # free


def test_stop_and_resume(run):
    stopped = run("%budget stop the agent runs wild").result
    assert stopped.stopped == "the agent runs wild"
    assert "All spending is stopped: the agent runs wild" in repr(stopped)
    refused = run("%ask hi").error_in_exec
    assert type(refused) is SpendingStopped
    assert run("%budget resume").result.stopped is None
    assert run("%ask hi").success
    again = run("%budget resume").error_in_exec
    assert (type(again), str(again)) == (UsageProblem, "Spending is not stopped")


def test_history_is_the_ledger_newest_first(run):
    run("%ask -m sim/gpt-4o hi")
    history = run("%budget history -n 2").result
    assert isinstance(history, History)
    assert [event.kind for event in history] == ["settle", "reserve"]
    assert run("%budget history -n 0").error_in_exec.hint == "%budget history -n 20"


def test_static_output_is_the_same_in_every_run(run, shell):
    run("%config LLMOps.static = True")

    def shown():
        run("%ask -m sim/gpt-4o --max-tokens 20 hi")
        results = [run("%budget").result, run("%budget history -n 2").result]
        return [DisplayFormatter(parent=shell).format(each)[0] for each in results]

    first = shown()
    for text in (text for data in first for text in data.values()):
        assert "UTC" not in text
        assert current_session().settings.user not in text
    session = current_session()
    session.close()
    record = Path(session.settings.store.removeprefix("sqlite:///"))
    for path in record.parent.glob("llmops.db*"):
        path.unlink()
    assert shown() == first


def test_a_cap_given_in_code_stays(run, tmp_path):
    from llmops_kernel import Cap, Session
    from llmops_kernel.session import set_current

    set_current(Session(caps=[Cap(scope="user", window="day", usd=1)]))
    error = run("%budget set 5").error_in_exec
    assert type(error) is UsageProblem


@pytest.mark.parametrize("source", ["%budget set 5 --per day;", "%budget -q"])
def test_nothing_is_shown_when_quiet(run, source):
    result = run(source)
    assert result.success
    assert (result.result, result.stdout, result.stderr) == (None, "", "")


def test_static_output_tells_of_a_stop_and_of_totals(run):
    run("%config LLMOps.static = True")
    run("%budget set 1 --per total --scope project;")
    shown = repr(run("%budget stop for lunch").result)
    assert shown.startswith("Budget (all spending is stopped: for lunch)")
    assert "project, in total" in shown
    run("%budget resume;")
    assert repr(run("%budget stop").result).startswith(
        "Budget (all spending is stopped: no reason given)"
    )
