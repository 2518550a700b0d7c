"""Hooks: calls belong to cells, alerts are shown, nothing is made without need."""

import sys

import pytest

from llmops_kernel import LoopDetected, current_session
from llmops_kernel.errors import StoreError
from llmops_kernel.magics import refuse


def last_event():
    return current_session().history(1)[0]


def session_exists():
    module = sys.modules.get("llmops_kernel.session")
    return module is not None and module.active_session() is not None


def test_cells_without_calls_make_no_session(run):
    assert run("1 + 1", cell_id="a").success
    assert not run("1 / 0", cell_id="b").success
    run("")
    assert not session_exists()


def test_the_first_call_already_belongs_to_its_cell(run):
    assert run("%ask -m sim/gpt-4o hi", cell_id="cell-1").success
    assert last_event().cell_id == "cell-1"
    run("%ask -m sim/gpt-4o hi", cell_id="cell-2")
    assert last_event().cell_id == "cell-2"


def test_without_an_id_the_execution_count_stands_in(run, shell):
    run("%ask -m sim/gpt-4o hi")
    assert last_event().cell_id == f"In[{shell.execution_count - 1}]"


def test_calls_of_python_code_belong_to_the_cell_too(run):
    run("%llmops status", cell_id="first")
    run(
        "from llmops_kernel import current_session\n"
        "current_session().ask('hi', model='sim/gpt-4o')",
        cell_id="second",
    )
    assert last_event().cell_id == "second"


def test_a_cell_inside_a_cell_belongs_to_the_outer_one(run):
    run("%llmops status")
    done = run(
        "get_ipython().run_cell('x = 1')\nget_ipython().run_cell('')\n"
        "get_ipython().run_line_magic('ask', '-m sim/gpt-4o hi')",
        cell_id="outer",
    )
    assert done.success
    assert last_event().cell_id == "outer"


def test_two_calls_of_a_cell_are_one_trace_with_its_end(run):
    run(
        "for _ in range(2):\n    get_ipython().run_line_magic('ask', '-m sim/gpt-4o hi')",
        cell_id="both",
    )
    root = current_session().trace()
    assert (root.span.kind, root.span.status) == ("cell", "ok")
    assert len(root.children) == 2
    run("%ask -m sim/gpt-4o hi\n1 / 0", cell_id="failing")
    assert current_session().trace().span.status == "error"


def test_a_crossed_step_is_shown_once(run):
    source = "%ask -m sim/gpt-4o --max-tokens 1 " + "Tell me all about ledgers. " * 100
    cost = run(source).result.usd
    run(f"%budget set {3 * cost} --per day;")
    done = run(source)
    assert done.stderr.startswith("llmops: 50 % of the simulated cap")
    assert run("1 + 1").stderr == ""


def test_an_alert_is_the_same_line_in_every_run_of_a_compared_notebook(run):
    source = "%ask -m sim/gpt-4o --max-tokens 1 " + "Tell me all about ledgers. " * 100
    cost = run(source).result.usd
    run(f"%config LLMOps.static = True\n%budget set {3 * cost} --per day;")
    expected = "llmops: A cap has passed one of its alert steps; %budget shows which.\n"
    assert run(source).stderr == expected


def test_an_error_of_a_hook_is_a_line_and_not_the_cells(run, monkeypatch):
    run("%llmops status")

    def fail():
        raise StoreError("The record cannot be read", hint="Free some space")

    monkeypatch.setattr(current_session(), "alerts", fail)
    done = run("1 + 1")
    assert done.success
    assert done.result == 2
    assert done.stderr == "llmops: The record cannot be read. Free some space.\n"


def test_a_foreign_error_is_explained(run):
    source = (
        "from llmops_kernel.errors import LoopDetected\n"
        "raise RuntimeError(LoopDetected('The same call came 100 times').body())"
    )
    done = run(source)
    assert isinstance(done.error_in_exec, RuntimeError)
    assert (
        done.stderr == "llmops: Stopped before anything was spent: The same call came 100 times.\n"
    )
    assert run("raise RuntimeError('no')").stderr == ""


def test_our_own_error_is_not_explained_twice(run):
    done = run(
        "from llmops_kernel.errors import LoopDetected\nraise LoopDetected('A loop', hint='End it')"
    )
    assert type(done.error_in_exec) is LoopDetected
    assert done.stderr == ""
    assert done.stdout.strip().splitlines() == ["LoopDetected: A loop", "→ End it"]


@pytest.fixture
def refused():
    refuse(StoreError("The record cannot be opened", hint="Free some space"))
    yield
    refuse(None)


def test_a_process_without_a_door_says_so_once_and_at_failures(run, refused):
    notice = (
        "llmops: No model call can leave this kernel. The record cannot be opened. "
        "Free some space.\n"
    )
    assert run("1 + 1").stderr == notice
    assert run("1 + 1").stderr == ""
    assert run("raise OSError('connection refused')").stderr == notice
    error = run("%ask hi").error_in_exec
    assert type(error) is StoreError
    assert not session_exists()
