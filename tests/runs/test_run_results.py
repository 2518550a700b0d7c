"""A notebook that runs to its end: what is on disk afterwards."""

from __future__ import annotations

import hashlib
import json
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from made_notebooks import saved, text_of, write_notebook

from llmops_kernel._version import __version__
from llmops_kernel.runs import RunResult, run_notebook

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.notebook

PASSWORD = "hunter2 and a half"
ASK = "from llmops_kernel import current_session\nanswer = current_session().ask"
CELLS = (
    # c1
    "import os\n"
    "print('folder', os.getcwd())\n"
    "print('run', os.environ['LLMOPS_RUN_ID'], os.environ['LLMOPS_STATIC'])\n"
    "print('hash', os.environ['PYTHONHASHSEED'], os.environ['LLMOPS_RUN_BUDGET_USD'])\n"
    "print('cell', get_ipython().kernel.get_parent('shell')['metadata'])\n"
    "print('history', get_ipython().history_manager.hist_file)\n"
    "print('length', len(password), seed)",
    # c2
    f"{ASK}('What is a ledger?', model='sim/gpt-4o', max_tokens=32)\n"
    f"answer = current_session().ask('What is a hold?', model='sim/gpt-4o', max_tokens=32)\n"
    "print(answer.simulated, answer.usd > 0)",
    # c3
    "#tags: raises-exception\nraise ValueError(f'it is {password}')",
    # c4
    "import sys\nfor letter in password:\n    sys.stdout.write(letter)\n    sys.stdout.flush()",
    # c5: what GitHub cannot render
    "from IPython.display import display\n"
    "view = {'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, 'text/plain': 'W'}\n"
    "display(view, raw=True)\n"
    "2 + 2",
)


class Run(NamedTuple):
    """A run, and what it was made from."""

    result: RunResult
    source: Path
    cells: dict[str, Any]
    manifest: dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run that most tests here look at."""
    folder = tmp_path_factory.mktemp("run")
    parameters = "password = ''\nseed = 1"
    source = write_notebook(folder / "books" / "a.ipynb", *CELLS, parameters=parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_HOME", str(folder / "home"))
        patch.delenv("PYTHONHASHSEED", raising=False)
        result = run_notebook(
            source,
            budget=Decimal("0.50"),
            parameters={"password": PASSWORD, "seed": 7},
            out_dir=folder / "out",
        )
    manifest = json.loads(result.manifest.read_text(encoding="utf-8"))
    return Run(result, source, saved(result.output), manifest)


def test_the_result_counts_what_ran(run: Run) -> None:
    result = run.result
    assert (result.ok, result.outcome, result.error) == (True, "ok", "")
    assert result.cells == 7  # with the parameters and what was injected after them
    assert result.calls == 2
    assert result.tokens > 0
    assert result.usd == 0
    assert 0 < result.simulated_usd < Decimal("0.50")


def test_the_kernel_works_in_the_notebooks_folder_and_knows_run_and_cell(run: Run) -> None:
    lines = dict(line.split(" ", 1) for line in text_of(run.cells["c1"]).splitlines())
    assert lines["folder"] == str(run.source.parent)
    assert lines["run"] == f"{run.result.run_id} 1"
    assert lines["hash"] == "0 0.50"
    assert lines["cell"] == "{'cellId': 'c1'}"
    assert lines["history"] == ":memory:"


def test_the_kernel_gets_the_real_value_and_the_file_never(run: Run) -> None:
    assert f"length {len(PASSWORD)} 7" in text_of(run.cells["c1"])
    injected = "".join(run.cells["injected-parameters"]["source"])
    assert 'password = "***"' in injected
    assert "seed = 7" in injected
    assert run.cells[""]["papermill"]["parameters"] == {"password": "***", "seed": 7}
    for file in run.result.output.parent.iterdir():
        assert "hunter2" not in file.read_text(encoding="utf-8")
    # Not even where it was written letter by letter, or was part of an error.
    assert text_of(run.cells["c4"])
    assert run.cells["c3"]["outputs"][0]["ename"] == "ValueError"
    assert run.cells["c3"]["outputs"][0]["evalue"].startswith("it is ")


def test_each_cell_says_what_it_cost(run: Run) -> None:
    assert text_of(run.cells["c2"]) == "True True\n"
    cost = run.cells["c2"]["metadata"]["llmops"]
    assert cost["calls"] == 2
    assert cost["usd"] == "0"
    assert Decimal(cost["simulated_usd"]) == run.result.simulated_usd
    assert cost["input_tokens"] + cost["output_tokens"] == run.result.tokens
    free = run.cells["c1"]["metadata"]["llmops"]
    assert (free["calls"], free["simulated_usd"]) == (0, "0")
    assert "llmops" not in run.cells["title"]["metadata"]
    assert run.cells[""]["llmops"] == {"run_id": run.result.run_id, **cost}


def test_an_error_that_its_tag_allows_does_not_stop_the_run(run: Run) -> None:
    assert run.cells["c3"]["metadata"]["papermill"]["status"] == "completed"
    assert run.cells["c5"]["outputs"][-1]["data"]["text/plain"] in ("4", ["4"])


def test_widgets_are_left_to_live_notebooks(run: Run) -> None:
    assert "".join(run.cells["c5"]["outputs"][0]["data"]["text/plain"]) == "W"
    assert list(run.cells["c5"]["outputs"][0]["data"]) == ["text/plain"]
    assert "widgets" not in run.cells[""]


def test_the_manifest_is_enough_to_repeat_the_run(run: Run) -> None:
    manifest = run.manifest
    assert manifest["run_id"] == run.result.run_id
    assert manifest["outcome"] == "ok"
    assert manifest["source_sha256"] == hashlib.sha256(run.source.read_bytes()).hexdigest()
    assert manifest["parameters"] == {"password": "***", "seed": 7}
    assert Decimal(manifest["budget_usd"]) == Decimal("0.50")
    assert manifest["packages"]["llmops-kernel"] == __version__
    assert {"papermill", "ipykernel", "genai-prices"} <= set(manifest["packages"])
    assert manifest["models"] == ["sim/gpt-4o"]
    assert len(manifest["prompts"]) == 2
    assert len(manifest["prices"]) == 1
    assert [cell["cell_id"] for cell in manifest["cells"]] == ["c2"]
    assert manifest["total"]["simulated_usd"] == manifest["cells"][0]["simulated_usd"]
    assert manifest["started"] < manifest["ended"]
    assert manifest["store"].startswith("sqlite:///")


def test_nothing_is_left_behind(run: Run) -> None:
    assert {path.name for path in run.result.output.parent.iterdir()} == {
        "a.ipynb",
        "a.manifest.json",
    }
    assert os.environ.get("LLMOPS_RUN_ID") is None
