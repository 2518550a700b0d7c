"""The environment with Unsloth, for tests that train with it for real."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from side_env import ROOT

from llmops_kernel import envs

REQUIRED = os.environ.get("LLMOPS_REQUIRE_UNSLOTH") == "1"
HERE = Path(__file__).parent


def need_unsloth() -> Path:
    """Return the interpreter; without one, fail where it is required and skip elsewhere."""
    environment = envs.Environment(envs.recipe_named("unsloth"), ROOT / "unsloth")
    if not environment.made:
        told = f"no environment with Unsloth in {ROOT} (llmops env create unsloth)"
        if REQUIRED:
            pytest.fail(told)
        pytest.skip(told)
    return environment.python


def program(path: Path, python: Path, before: str = "", script: Path | None = None) -> Path:
    """Write a program that runs an interpreter with more before it, and return it."""
    asked = f' "{script}"' if script else ""
    path.write_text(f'#!/bin/sh\n{before} exec "{python}"{asked} "$@"\n')
    path.chmod(0o755)
    return path


def run_with_unsloth(script: str, *arguments: str) -> str:
    """Run a script of this folder there and return what it printed."""
    python = need_unsloth()
    variables = envs.command_env("unsloth") | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments],
        env=variables, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
