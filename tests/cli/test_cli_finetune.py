"""``llmops finetune`` and ``llmops env``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "finetune"))

from side_env import ROOT, need_trl, run_beside

from llmops_kernel.cli import main


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of seconds."""
    need_trl()
    monkeypatch.setenv("LLMOPS_ENVS", str(ROOT))
    monkeypatch.chdir(tmp_path)
    run_beside("make_base.py", str(tmp_path / "random"))
    with (tmp_path / "rows.csv").open("w") as out:
        out.write("text,label\n")
        for number in range(40):
            out.write(f"ask {chr(97 + number % 26) * 3} {number},{('card', 'loan')[number % 2]}\n")
    path = tmp_path / "router.yaml"
    path.write_text(
        "task: classify\nbase: ./random\nmethod: full\nbackend: {threads: 1}\n"
        "data: {path: rows.csv}\ntrain: {max_steps: 12, lr: 3.0e-3}\n"
        "export: [merged]\nregister: area-router\n"
    )
    return path


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    assert main([*argv, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_run_status_list_and_logs(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = told(capsys, "finetune", "run", str(spec))
    assert (facts["name"], facts["state"]) == ("area-router", "done")
    assert facts["version"].startswith("area-router@")
    assert facts["preflight"]["verdict"] in ("ok", "warn")
    assert told(capsys, "finetune", "status")["run_id"] == facts["run_id"]
    runs = told(capsys, "finetune", "list")["runs"]
    assert [(each["name"], each["state"]) for each in runs] == [("area-router", "done")]
    for verb in ("status", "list", "logs", "stop"):
        assert main(["finetune", verb]) == 0
    assert "Fine-tuning area-router: done" in capsys.readouterr().out
    assert main(["finetune", "resume"]) == 1
    assert "cannot be resumed" in capsys.readouterr().err


def test_a_failing_run_is_told_by_the_exit_code(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec.write_text(spec.read_text().replace("method: full", "method: lora"))
    assert main(["finetune", "run", str(spec)]) == 1
    out, err = capsys.readouterr()
    assert "Pre-flight: stop" in out
    assert "LoRA cannot teach a base with random weights" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["finetune", "run", "none.yaml"], "cannot be read"),
        (["finetune", "status", "nothing"], "no fine-tuning run yet"),
        (["env", "create", "tlr"], "did you mean 'trl'"),
    ],
)
def test_mistakes(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 1
    assert said in capsys.readouterr().err


def test_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path))
    found = {each["name"]: each for each in told(capsys, "env", "list")}
    assert {"trl", "unsloth", "axolotl"} <= set(found)
    assert not any(each["made"] for each in found.values())
    assert main(["env", "list"]) == 0
    assert "not made" in capsys.readouterr().out


def test_an_environment_that_is_there_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from llmops_kernel import envs

    monkeypatch.setenv("LLMOPS_ENVS", str(tmp_path))
    made = envs.find("trl")
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    made.marker.write_text(made.recipe.digest)
    assert told(capsys, "env", "create", "trl")["python"] == str(made.python)
    assert main(["env", "create", "trl"]) == 0
    assert str(made.python) in capsys.readouterr().out
