"""What a worker says at its end, where nothing can be written any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmops_kernel.finetune import layout

FULL = Path("/dev/full")  # every write to it fails as on a full disk


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_though_its_log_is_on_it(tmp_path: Path) -> None:
    run = {"folder": str(tmp_path), "backend_name": "trl", "watched": False}
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / "events.jsonl").symlink_to(FULL)
    command = [sys.executable, "-m", "llmops_kernel.finetune.worker", "run",
               str(tmp_path / "run.json")]  # fmt: skip
    with FULL.open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=full, timeout=60, check=False)
    assert done.returncode == layout.NO_DISK


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_what_was_printed_last_does_not_change_the_exit_code(tmp_path: Path) -> None:
    """Left in the buffer it would be written at exit, which fails with a code of its own."""
    run = {"folder": str(tmp_path), "backend_name": "trl", "watched": False}
    (tmp_path / "run.json").write_text(json.dumps(run))
    program = tmp_path / "program.py"
    program.write_text(
        "import runpy, sys\n"
        "print('a line that stays in the buffer')\n"
        "sys.argv = ['worker', 'run', sys.argv[1]]\n"
        "from llmops_kernel.finetune import layout\n"
        "from llmops_kernel.finetune.worker.job import Ended, Job\n"
        "def emit(self, event):\n"
        "    if event['event'] == 'begin':\n"
        "        raise Ended(layout.STOPPED, 'asked')\n"
        "Job.emit = emit\n"
        "runpy.run_module('llmops_kernel.finetune.worker', run_name='__main__')\n"
    )
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, str(program), str(tmp_path / "run.json")],
            stdout=full, stderr=full, timeout=60, check=False,
            env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
        )  # fmt: skip
    assert done.returncode == layout.STOPPED
