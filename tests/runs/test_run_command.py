"""``llmops run``: rows, exit codes, and what is refused before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from made_notebooks import write_notebook

from llmops_kernel.cli import main
from llmops_kernel.runs.engine import parse_budget

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.notebook
def test_rows_are_aligned_and_one_failure_fails_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = "from llmops_kernel import current_session\ncurrent_session().ask(question)"
    write_notebook(tmp_path / "a.ipynb", ask, parameters="question = 'Why?'\nseed = 1")
    broken = write_notebook(tmp_path / "b" / "a.ipynb", "1 / 0", parameters="question = ''")
    arguments = ["a.ipynb", str(broken), "--budget", "1", "-p", "question=What is 2+2?"]
    assert main(["run", *arguments, "--out", "done"]) == 1
    out, err = capsys.readouterr()
    head, good, bad, total = out.splitlines()
    assert head.split() == ["notebook", "result", "cells", "calls", "tokens", "usd", "simulated",
                            "seconds", "output"]  # fmt: skip
    assert good.split()[:4] == ["a.ipynb", "ok", "3", "1"]
    assert good.split()[-1] == "done/a.ipynb"
    assert bad.split()[:4] == ["a.ipynb", "failed", "3", "0"]
    assert bad.split()[-1] == "done/a-2.ipynb"
    assert total.split()[:4] == ["total", "1/2", "ok", "6"]
    ends = [head.index("seconds") + len("seconds"), head.index("tokens") + len("tokens")]
    for line in (good, bad, total):
        assert all(line[end - 1].isdigit() and line[end : end + 1] in ("", " ") for end in ends)
    assert err == "a.ipynb: ZeroDivisionError: division by zero\n"


@pytest.mark.notebook
def test_json_and_stop_on_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_notebook(tmp_path / "1.ipynb", "1 / 0")
    write_notebook(tmp_path / "2.ipynb", "1")
    assert main(["run", "[0-9].ipynb", "--stop-on-failure", "--json"]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["ok"] is False
    assert [run["outcome"] for run in report["runs"]] == ["failed"]
    assert report["runs"][0]["output"] == "runs/1.ipynb"
    assert report["left_out"] == ["2.ipynb"]
    assert report["total"]["usd"] == "0"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.ipynb"], "There is no notebook gone.ipynb"),
        (["god.ipynb"], "did you mean 'good.ipynb'?"),
        (["folder"], "folder is a folder"),
        (["none-*.ipynb"], "No file matches the pattern"),
        (["text.ipynb"], "text.ipynb is not a notebook"),
        (["list.ipynb"], "list.ipynb is not a notebook"),
        (["r.ipynb"], "r.ipynb is written in R, which the llmops kernel does not run"),
        (["good.ipynb", "--budget", "much"], "--budget is not an amount of dollars"),
        (["good.ipynb", "--timeout", "0"], "--timeout must be above zero"),
        (["good.ipynb", "--out", "."], "The output would replace the notebook"),
        (["good.ipynb", "--out", "text.ipynb"], "The output folder cannot be made"),
        (["good.ipynb", "-p", "sed=1"], "has no parameter 'sed' (did you mean 'seed'?)"),
        (["good.ipynb", "-p", "seed"], "-p takes NAME=VALUE"),
    ],
)
def test_what_cannot_run_is_refused_before_any_kernel_starts(
    tmp_path: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_notebook(tmp_path / "good.ipynb", "1", parameters="seed = 1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.ipynb").write_text("not JSON")
    (tmp_path / "list.ipynb").write_text("[1]")
    book = json.loads((tmp_path / "good.ipynb").read_text())
    book["metadata"] = {"language_info": {"name": "R"}}
    (tmp_path / "r.ipynb").write_text(json.dumps(book))
    before = sorted(tmp_path.rglob("*"))
    # The notebook that could run comes first: it must not.
    assert main(["run", "good.ipynb", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) <= 3
    assert sorted(tmp_path.rglob("*")) == before


def test_budgets_may_be_numbers_or_texts() -> None:
    assert str(parse_budget(0.1)) == "0.1"


@pytest.mark.parametrize(
    "first", ["llmops_kernel.runs.engine", "papermill", "papermill.clientwrap"]
)
def test_engine_and_papermill_may_be_imported_in_any_order(first: str) -> None:
    code = (
        f"import {first}\n"
        "from papermill.engines import papermill_engines\n"
        "print(papermill_engines.get_engine('llmops').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "LLMOpsEngine\n"), done.stderr
