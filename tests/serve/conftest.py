"""Engines for the tests: one that lies on demand, and the real ones where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serve_parts

from llmops_kernel.serve.record import names
from llmops_kernel.serve.servers.leftovers import end_leftovers
from llmops_kernel.serve.servers.stopping import stop_server
from llmops_kernel.settings import data_home

_LIAR = Path(__file__).with_name("lying_server.py")


@pytest.fixture
def liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make the engine llama-server one that behaves as it is told; returns a model for it."""

    def make(mode: str = "good", name: str = "model", pause: float = 0.002) -> Path:
        program = tmp_path / f"llama-server-{mode}"
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{_LIAR}" {mode} --pause {pause} "$@"\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("LLMOPS_LLAMA_SERVER", str(program))
        model = tmp_path / f"{name}.gguf"
        if not model.exists():
            model.write_bytes(b"GGUF" + name.encode())
        return model

    return make


@pytest.fixture(autouse=True)
def _no_servers_left() -> Iterator[None]:
    """Every server of a test ends with it."""
    yield
    for name in names():
        stop_server(name)
    for folder in (data_home() / "serving").glob("*"):
        end_leftovers(folder.name)


@pytest.fixture(scope="session")
def llama_server() -> str:
    """The real program; a failure without it where it is required."""
    return serve_parts.real_llama_server()


@pytest.fixture(scope="session")
def trl_envs() -> str:
    """The folder of side environments with ``trl`` in it."""
    return serve_parts.real_trl_envs()


@pytest.fixture(scope="session")
def exported(trl_envs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that has learnt three answers, exported: merged/, gguf/, reference.json."""
    out = tmp_path_factory.mktemp("served") / "tiny"
    script = Path(__file__).with_name("make_served.py")
    python = Path(trl_envs) / "trl" / "bin" / "python"
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env |= {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1"}  # fmt: skip
    done = subprocess.run(
        [str(python), str(script), str(out)], capture_output=True, text=True, env=env, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return out
