"""Small bases and rows that all tests of this room share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from finetune_rows import spec_text, write_rows
from side_env import ROOT, need_trl, run_beside


@pytest.fixture(autouse=True)
def _side_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have a home of their own, and the side environments of this machine."""
    monkeypatch.setenv("LLMOPS_ENVS", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def trl() -> Path:
    """The interpreter of the training environment."""
    return need_trl()


@pytest.fixture(scope="session")
def random_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama that has learnt nothing yet."""
    folder = tmp_path_factory.mktemp("bases") / "random"
    run_beside("make_base.py", str(folder))
    return folder


@pytest.fixture(scope="session")
def trained_base(random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained whole by our own runner for a second or two."""
    place = tmp_path_factory.mktemp("trained")
    write_rows(place / "rows.jsonl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMOPS_ENVS", str(ROOT))
        patch.setenv("LLMOPS_HOME", str(place / "home"))
        from llmops_kernel.finetune import read_spec, start

        run = start(read_spec(spec_text(random_base, place / "rows.jsonl", method="full")), "base")
        outcome = run.wait(240)
    assert outcome["state"] == "done", (outcome, run.log())
    return run.folder.final


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A file of 120 rows."""
    return write_rows(tmp_path / "rows.jsonl")
