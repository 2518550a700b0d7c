"""The training environment, for tests that need torch; found before any test hides settings."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from llmops_kernel import envs

ROOT = envs.root()
REQUIRED = os.environ.get("LLMOPS_REQUIRE_TRL") == "1"
HERE = Path(__file__).parent


def need_trl() -> Path:
    """Return the interpreter; without one, fail where it is required and skip elsewhere."""
    environment = envs.Environment(envs.recipe_named("trl"), ROOT / "trl")
    if not environment.made:
        told = f"no training environment in {ROOT} (llmops env create trl)"
        if REQUIRED:
            pytest.fail(told)
        pytest.skip(told)
    return environment.python


def run_beside(script: str, *arguments: str, cwd: Path | None = None) -> str:
    """Run a script of this folder there and return what it printed."""
    python = need_trl()
    kept = os.environ.get("LLMOPS_ENVS")
    os.environ["LLMOPS_ENVS"] = str(ROOT)
    try:
        variables = envs.command_env("trl")
    finally:
        if kept is None:
            del os.environ["LLMOPS_ENVS"]
        else:
            os.environ["LLMOPS_ENVS"] = kept
    variables |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments],
        env=variables, cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
