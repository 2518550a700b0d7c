"""The notebooks of the course: in step with their sources, executed, green in nbval."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from llmops_kernel import envs

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# One sitting: what a person reads and runs in an hour, and a code host still renders.
MOST_CELLS = 40
MOST_WORDS = 1_500
MOST_BYTES = 300_000

# Where the side environments and a built engine are; all else would show in the outputs.
MACHINE = {"LLMOPS_ENVS", "LLMOPS_LLAMA_SERVER"}
# These train and serve a model.
TRAINING = {"03_finetuning", "05_serving", "06_cache_cost"}

pytestmark = pytest.mark.notebook


def _nbval(path: Path, home: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "pytest", "--nbval", str(path), "-q", "-p", "no:cacheprovider",
        "--nbval-sanitize-with", str(Path(__file__).with_name("sanitize.cfg")),
        "--nbval-cell-timeout", "300", "-W", "ignore", "-c", os.devnull, "--rootdir", str(ROOT),
    ]  # fmt: skip
    plain = {
        key: value
        for key, value in os.environ.items()
        if key in MACHINE or not key.startswith("LLMOPS_")
    }
    settings = {"LLMOPS_HOME": str(home), "LLMOPS_STATIC": "1", "PYTHONHASHSEED": "0"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**plain, **settings}
    )


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS][:2] == ["01_prompts_orchestration", "02_rag"]


def test_notebooks_are_in_step_with_their_sources() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "build_notebooks.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_saved_notebooks_are_fit_for_readers(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.kernelspec.name == "llmops"
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.get("tags", [])
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"sk-[A-Za-z0-9]{16}|llmops-[A-Za-z0-9_-]{20}", text)
    for place in (str(ROOT), str(Path.home()), "/tmp/"):
        assert place == "/" or place not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_fits_one_sitting(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    words = re.sub(r"<[^>]+>", "", prose).split()
    assert len(notebook.cells) <= MOST_CELLS
    assert len(words) <= MOST_WORDS
    assert path.stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nbval_finds_the_same_outputs(path: Path, tmp_path: Path) -> None:
    if path.stem in TRAINING and not envs.find("trl").made:
        if os.environ.get("LLMOPS_REQUIRE_TRL"):
            pytest.fail("the environment trl is required here: llmops env create trl")
        pytest.skip("llmops env create trl")
    run = _nbval(path, tmp_path / "home")
    assert run.returncode == 0, run.stdout[-6_000:]


def test_nbval_notices_another_amount(tmp_path: Path) -> None:
    """Simulated dollars are exact and are compared: the sanitizers must not hide them."""
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    table = next(  # the last one that shows dollars
        output.data
        for cell in reversed(notebook.cells)
        for output in cell.get("outputs", ())
        if "$" in output.get("data", {}).get("text/plain", "")
    )
    changed = re.sub(
        r"\$(\d)", lambda found: f"${(int(found[1]) + 1) % 10}", table["text/plain"], count=1
    )
    assert changed != table["text/plain"]
    table["text/plain"] = changed
    copy = tmp_path / "changed.ipynb"
    nbformat.write(notebook, copy)
    run = _nbval(copy, tmp_path / "home")
    assert run.returncode == 1
    assert "1 failed" in run.stdout, run.stdout[-6_000:]
