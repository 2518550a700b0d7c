"""The training environment and the engine, as tests of exports use them."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from llmops_kernel.envs import command_env, find
from llmops_kernel.finetune.export.llama import find_server


def training_python() -> str:
    """The interpreter of the training environment; without one the test is skipped or fails."""
    environment = find("trl")
    if not environment.made:
        if os.environ.get("LLMOPS_REQUIRE_TRL"):
            pytest.fail("LLMOPS_REQUIRE_TRL is set, and the environment trl was not made")
        pytest.skip("the environment trl was not made (llmops env create trl)")
    return str(environment.python)


def llama_server() -> Path:
    """The engine; without one the test is skipped, or fails where it must be there."""
    found = find_server()
    if found is None:
        if os.environ.get("LLMOPS_REQUIRE_LLAMA"):
            pytest.fail("LLMOPS_REQUIRE_LLAMA is set, and there is no llama-server")
        pytest.skip("no llama-server (LLMOPS_LLAMA_SERVER names one)")
    return found


def run_beside(*arguments: str, **variables: str) -> str:
    """Run a script or module in the training environment and return what it printed."""
    python = training_python()
    values = command_env("trl") | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    values["LLMOPS_LLAMA_SERVER"] = "none"  # exports are to be the same with an engine and without
    values |= variables
    done = subprocess.run(
        [python, *arguments], env=values, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


@cache
def exported() -> tuple[Path, dict[str, Any]]:
    """Models of many kinds with their exports, made once: the folder, and what was found."""
    folder = Path(mkdtemp(prefix="llmops-exports-"))
    run_beside(str(Path(__file__).with_name("export_models.py")), str(folder))
    return folder, json.loads((folder / "found.json").read_text())
