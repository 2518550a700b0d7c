"""``%%finetune`` and ``%finetune`` in a real shell, with real trainings of seconds."""

import json
import sys
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

sys.path.append(str(Path(__file__).parents[1] / "finetune"))

from side_env import ROOT, need_trl, run_beside

from llmops_kernel.errors import RunFailed, SettingsError, UsageProblem
from llmops_kernel.finetune import list_runs
from llmops_kernel.magics.finetune_results import FineTuneRun, Log, PreflightPage, RunList

CELL = """%%finetune {line}
task: classify
base: {base}
method: {method}
backend: {{threads: 1}}
data: {{path: rows.jsonl}}
train: {{max_steps: 20, lr: 3.0e-3}}
{more}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "random"
    run_beside("make_base.py", str(folder))
    return folder


@pytest.fixture
def cell(workplace, monkeypatch, base):
    need_trl()
    monkeypatch.setenv("LLMOPS_ENVS", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with (workplace / "rows.jsonl").open("w") as out:
        for number in range(40):
            label = ("card", "loan")[number % 2]
            asked = f"{'block' if label == 'card' else 'lend'} {chr(97 + number % 26) * 3} {number}"
            out.write(json.dumps({"text": asked, "label": label}) + "\n")

    def made(line="router", method="full", more=""):
        return CELL.format(line=line, base=base, method=method, more=more)

    return made


def test_a_training_from_a_cell(cell, run, shell):
    done = run(cell("router -o trained"))
    result = done.result
    assert isinstance(result, FineTuneRun), done.error_in_exec
    assert shell.user_ns["trained"] is result
    assert result.state == "done"
    assert result.metrics["steps"] == 20
    assert len(result.train_loss) > 1
    assert result.eval_loss[-1][1] < result.eval_loss[0][1]
    assert result.preflight.verdict in ("ok", "warn")
    data, metadata = DisplayFormatter(parent=shell).format(result)
    assert "<svg" in data["text/html"]
    assert "Evaluation loss" in data["text/plain"]
    assert metadata["llmops"]["state"] == "done"

    status = run("%finetune").result
    assert (status.name, status.run_id) == ("router", result.run_id)
    listed = run("%finetune list").result
    assert isinstance(listed, RunList)
    assert [each.run_id for each in listed] == [result.run_id]
    checks = run("%finetune preflight router").result
    assert isinstance(checks, PreflightPage)
    assert "<mark>" in DisplayFormatter(parent=shell).format(checks)[0]["text/html"]
    assert isinstance(run("%finetune logs -n 5").result, Log)
    again = run("%finetune resume router").error_in_exec
    assert type(again) is UsageProblem
    assert run("%finetune stop").result.state == "done"  # nothing happens to what has ended


def test_static_results_are_the_same_in_each_run(cell, run, monkeypatch):
    monkeypatch.setenv("LLMOPS_STATIC", "1")
    first = run(cell())
    second = run(cell())
    assert first.result is not None, first.error_in_exec
    assert str(first.result) == str(second.result)
    lines, again = (
        [line for line in each.stdout.splitlines() if not line.startswith("Out[")]
        for each in (first, second)
    )
    assert lines == again
    assert [line for line in lines if "%" in line] == [
        f"router: {tenth} % of the steps" for tenth in range(10, 101, 10)
    ]


def test_a_refused_training_fails_the_cell_and_shows_why(cell, run):
    done = run(cell(method="lora"))
    error = done.error_in_exec
    assert type(error) is RunFailed
    assert "LoRA cannot teach a base with random weights" in error.message
    assert "method: full" in error.hint
    assert "Pre-flight: stop" in done.stdout


def test_a_dry_run_trains_nothing(cell, run):
    result = run(cell("router --dry-run")).result
    assert result.state == "checked"
    assert "Pre-flight" in str(result)
    assert result.train_loss == []
    assert not (result.folder / "final").exists()


def test_a_detached_run_is_stopped_from_another_cell(cell, run):
    more = "preflight: {dry_run_steps: 0}"
    source = cell("router --detach", more=more).replace("max_steps: 20", "max_steps: 100000")
    detached = run(source).result
    assert detached.state == "running"
    taken = run(source).error_in_exec
    assert type(taken) is UsageProblem
    assert "under way" in taken.message
    run("%finetune stop router")
    assert detached.wait(120).state == "stopped"


def test_mistakes_are_told_and_start_nothing(cell, run):
    wrong = run(cell(more="trian: {epochs: 2}")).error_in_exec
    assert type(wrong) is SettingsError
    assert "did you mean 'train'" in wrong.message
    assert wrong.detail == "line 8"  # counted with the magic's own line
    assert type(run("%%finetune\nbase: x").error_in_exec) is UsageProblem
    assert type(run("%%finetune a --backend tlr\nbase: x").error_in_exec) is UsageProblem
    assert type(run("%finetune status nothing").error_in_exec) is UsageProblem
    assert type(run("%finetune stpo").error_in_exec) is UsageProblem
    missing = run(cell().replace("rows.jsonl", "none.jsonl")).error_in_exec
    assert "no such data file" in missing.message
    assert list_runs() == []
