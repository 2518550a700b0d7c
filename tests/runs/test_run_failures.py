"""Runs that do not reach their end: the file on disk says where and why."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import papermill
import psutil
import pytest
from made_notebooks import saved, write_notebook
from papermill.exceptions import PapermillExecutionError

from llmops_kernel.errors import UsageProblem
from llmops_kernel.runs import run_many, run_notebook
from llmops_kernel.settings import Settings
from llmops_kernel.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.notebook

ASK = "from llmops_kernel import current_session\nask = current_session().ask\n"
LOOP = ASK + (
    "for number in range(1000):\n    ask(f'Question {number}', model='sim/gpt-4o', max_tokens=64)"
)


def states(cells: dict[str, Any]) -> dict[str, str]:
    """Return papermill's status of each code cell."""
    return {
        key: cell["metadata"]["papermill"]["status"]
        for key, cell in cells.items()
        if key.startswith("c") and "papermill" in cell.get("metadata", {})
    }


def error_of(cell: dict[str, Any]) -> tuple[str, str]:
    (error,) = [output for output in cell["outputs"] if output["output_type"] == "error"]
    return error["ename"], error["evalue"]


def test_a_budget_stop_is_a_failed_cell_and_the_next_notebook_still_runs(tmp_path: Path) -> None:
    runaway = write_notebook(tmp_path / "runaway.ipynb", "1 + 1", LOOP, "'never'")
    modest = write_notebook(tmp_path / "modest.ipynb", ASK + "ask('What is a cap?').text")
    budget = Decimal("0.002")
    stopped, fine = run_many([runaway, modest], budget=budget, out_dir=tmp_path / "out")

    assert (stopped.ok, stopped.outcome) == (False, "stopped")
    assert stopped.error.startswith("BudgetExceeded: ")
    assert "--budget" in stopped.detail
    assert 0 < stopped.simulated_usd <= budget
    cells = saved(stopped.output)
    assert states(cells) == {"c1": "completed", "c2": "failed", "c3": "pending"}
    assert error_of(cells["c2"])[0] == "BudgetExceeded"
    assert cells["c2"]["metadata"]["llmops"]["calls"] == stopped.calls > 0
    assert cells["c3"]["outputs"] == []
    manifest = json.loads(stopped.manifest.read_text())
    assert manifest["outcome"] == "stopped"
    assert manifest["failed_cell"] == "c2"
    assert manifest["error"] == "BudgetExceeded"

    assert (fine.ok, fine.calls, fine.simulated_usd) == (True, 1, 0)


def test_a_run_inside_a_run_spends_from_the_outer_ones_budget(tmp_path: Path) -> None:
    inner = write_notebook(tmp_path / "inner.ipynb", LOOP)
    run = f"run_notebook({str(inner)!r}, budget=Decimal(5), out_dir='inner-out').facts()"
    outer = write_notebook(
        tmp_path / "outer.ipynb",
        ASK + "ask('One call of its own', model='sim/gpt-4o', max_tokens=16)",
        f"from decimal import Decimal\nfrom llmops_kernel.runs import run_notebook\n{run}",
    )
    budget = Decimal("0.003")
    result = run_notebook(outer, budget=budget, out_dir=tmp_path / "out")
    assert result.ok
    assert 0 < result.simulated_usd <= budget
    manifest = json.loads((tmp_path / "inner-out" / "inner.manifest.json").read_text())
    assert (manifest["run_id"], manifest["outcome"]) == (result.run_id, "stopped")
    # The inner record leaves out what the outer notebook spent before.
    assert Decimal(manifest["total"]["simulated_usd"]) < result.simulated_usd
    assert manifest["total"]["calls"] == result.calls - 1


def test_papermill_finds_the_engine_and_raises_with_secrets_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb", "raise ValueError(api_key)", "'never'", parameters="api_key = ''"
    )
    output = tmp_path / "out.ipynb"
    monkeypatch.setenv("LLMOPS_RUN_BUDGET_USD", "0.25")
    options = {"engine_name": "llmops", "progress_bar": False}
    with pytest.raises(UsageProblem, match="did you mean 'api_key'"):
        papermill.execute_notebook(source, output, parameters={"api_ky": "x"}, **options)
    assert not output.exists()

    with pytest.raises(PapermillExecutionError) as caught:
        papermill.execute_notebook(
            source, output, parameters={"api_key": "tiger-tiger-burning"}, **options
        )
    assert "burning" not in str(caught.value)
    for file in (output, tmp_path / "out.manifest.json"):
        assert "burning" not in file.read_text()
    cells = saved(output)
    assert states(cells) == {"c1": "failed", "c2": "pending"}
    manifest = json.loads((tmp_path / "out.manifest.json").read_text())
    assert (manifest["kernel"], manifest["budget_usd"]) == ("llmops", "0.25")
    assert manifest["outcome"] == "failed"


def test_a_secret_parameter_stays_out_of_the_kernels_record(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb",
        ASK + "ask(f'My code is {password}')",
        "import os\nassert not any('burning' in value for value in os.environ.values())",
        parameters="password = ''",
    )
    given = {"password": "tiger-tiger-burning"}
    assert run_notebook(source, parameters=given, out_dir=tmp_path / "out").ok
    record = open_store(Settings.load().store)
    inputs = [row[0] for row in record.read("SELECT input FROM span WHERE kind = 'llm'")]
    record.close()
    assert len(inputs) == 1
    assert "My code is" in inputs[0]
    assert "burning" not in inputs[0]


def test_a_cell_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    slow = f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
    source = write_notebook(tmp_path / "slow.ipynb", slow + "time.sleep(600)", "'never'")
    result = run_notebook(source, timeout=1, out_dir=tmp_path / "out")
    assert result.outcome == "timeout"
    cells = saved(result.output)
    assert states(cells) == {"c1": "failed", "c2": "pending"}
    assert error_of(cells["c1"])[0] == "CellTimeoutError"
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_kernel_that_dies_fails_its_cell_and_what_it_held_is_counted(tmp_path: Path) -> None:
    dies = (
        "import os\n"
        "from llmops_kernel import current_session\n"
        "here = current_session()\n"
        "options = {'book': 'simulated', 'model': 'sim/gpt-4o', 'cell_id': 'c1'}\n"
        "here.ledger.reserve('call/1', here.scopes, amount=2_000, **options)\n"
        "os._exit(3)"
    )
    source = write_notebook(tmp_path / "dies.ipynb", dies, "'never'")
    result = run_notebook(source, out_dir=tmp_path / "out")
    # The request may have been billed, so the worst case is what it cost.
    assert result.simulated_usd == Decimal("0.000002")
    assert result.outcome == "failed"
    cells = saved(result.output)
    assert states(cells) == {"c1": "failed", "c2": "pending"}
    assert error_of(cells["c1"])[0] == "DeadKernelError"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_kernel_and_a_true_record(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pid = tmp_path / "pid"
    sleep = f"import os, pathlib, time\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\n"
    source = write_notebook(tmp_path / "slow.ipynb", sleep + "time.sleep(600)", "'never'")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "llmops_kernel.cli", "run", str(source), "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
    ) as process:
        wait_for(pid, process)
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert not psutil.pid_exists(int(pid.read_text()))
    assert states(saved(out / "slow.ipynb")) == {"c1": "failed", "c2": "pending"}
    assert json.loads((out / "slow.manifest.json").read_text())["outcome"] == "interrupted"


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_kernel_that_does_not_start_is_a_failed_result(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "a.ipynb", "1")
    (result,) = run_many([source], kernel="no-such-kernel", out_dir=tmp_path / "out")
    assert not result.ok
    assert result.error.startswith("RunFailed: The kernel did not start")
    assert states(saved(result.output)) == {"c1": "pending"}
    assert json.loads(result.manifest.read_text())["outcome"] == "failed"
