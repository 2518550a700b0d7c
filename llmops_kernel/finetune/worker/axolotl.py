"""Training by Axolotl's own program, from the YAML we write."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.axolotl import write_config
from llmops_kernel.finetune.layout import FAILED, REFUSED, STOPPED, write_json
from llmops_kernel.finetune.worker.job import Ended

if TYPE_CHECKING:
    from llmops_kernel.finetune.worker.job import Job

_LOGGED = re.compile(r"\{'(?:loss|eval_loss|train_runtime)'.*\}")
_UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle")


def train_with_axolotl(job: Job, *, only_preflight: bool = False) -> None:
    """Write the configuration, run the program, and keep what it made.

    Args:
        job: The job.
        only_preflight: Check, and train nothing.

    Raises:
        Ended: The program is missing, failed, or was stopped.
    """
    path = write_config(job.run)
    beside = Path(sys.executable).parent / "axolotl"
    program = str(beside) if beside.exists() else shutil.which("axolotl")
    if program is None:
        raise Ended(
            REFUSED, "axolotl is not installed in this environment",
            hint="llmops env create axolotl; axolotl.yaml is in the run's folder",
        )  # fmt: skip
    if only_preflight:
        return
    job.emit({"event": "train", "steps": job.train["max_steps"] or 0, "from_step": 0})
    metrics = _run(job, [program, "train", str(path)])
    made = job.folder.path / "axolotl"
    if not any(made.glob("*.safetensors")):
        raise Ended(FAILED, "axolotl wrote no weights", detail=str(made))
    job.folder.final.mkdir(exist_ok=True)
    for file in made.iterdir():
        if file.is_file() and not file.name.endswith(_UNSAFE):
            shutil.copy2(file, job.folder.final / file.name)
    trained: dict[str, Any] = {"metrics": metrics, "gate": None}
    write_json(job.folder.trained, trained)
    if job.run["export"]:
        from llmops_kernel.finetune.export.worker import run_exports

        trained["exports"] = run_exports(job.run, job.folder.final, job.folder.out, job.emit)
        write_json(job.folder.trained, trained)


def _run(job: Job, command: list[str]) -> dict[str, Any]:
    """Run the program, telling what it logs; the STOP file ends it."""
    metrics: dict[str, Any] = {}
    child = subprocess.Popen(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "AXOLOTL_DO_NOT_TRACK": "1"},
        cwd=job.folder.path,
    )
    assert child.stdout is not None
    step, stopped = 0, ""
    for line in child.stdout:
        sys.stdout.write(line)
        if not stopped and (stopped := job.stop_asked()):
            child.send_signal(signal.SIGTERM)
        for logged in _LOGGED.findall(line):
            step = _told(job, logged, step, metrics)
    if child.wait() and not stopped:
        raise Ended(FAILED, "axolotl failed", detail=f"exit code {child.returncode}",
                    hint="%finetune logs shows what it printed")  # fmt: skip
    if stopped:
        raise Ended(STOPPED, stopped)
    return {**metrics, "steps": step}


def _told(job: Job, logged: str, step: int, metrics: dict[str, Any]) -> int:
    try:
        found = ast.literal_eval(logged)
    except (ValueError, SyntaxError):
        return step
    if "loss" in found:
        step += 1
        metrics["train_loss"] = float(found["loss"])
        job.emit({"event": "step", "step": step, "loss": float(found["loss"]),
                  "epoch": found.get("epoch")})  # fmt: skip
    elif "eval_loss" in found:
        metrics["eval_loss"] = float(found["eval_loss"])
        job.emit({"event": "eval", "step": step, "loss": float(found["eval_loss"])})
    else:
        metrics["train_s"] = float(found["train_runtime"])
    return step
