"""The notebooks of the course: in step with their sources, executed, green in nbval."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.notebook


def _environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "LLMOPS_HOME": str(tmp_path / "home"),
        "LLMOPS_STATIC": "1",
        "PYTHONHASHSEED": "0",
    }


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS][:1] == ["01_prompts_orchestration"]


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nbval_finds_the_same_outputs(path: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "pytest", "--nbval", str(path), "-q", "-p", "no:cacheprovider",
        "--nbval-sanitize-with", str(Path(__file__).with_name("sanitize.cfg")),
        "--nbval-cell-timeout", "120", "-W", "ignore", "-c", os.devnull, "--rootdir", str(ROOT),
    ]  # fmt: skip
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env=_environment(tmp_path)
    )
    assert run.returncode == 0, run.stdout[-6_000:]
