"""Training by Axolotl's own program, from the YAML we write."""

from __future__ import annotations

import ast
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.axolotl import newest_checkpoint, write_config
from llmops_kernel.finetune.layout import FAILED, REFUSED, STOPPED, write_json
from llmops_kernel.finetune.worker.job import Ended

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmops_kernel.finetune.worker.job import Job

_LOGGED = re.compile(r"\{'(?:loss|eval_loss|train_runtime)'.*\}")
_POLL_S = 0.2  # between looks for the STOP file while the program is silent
_UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle")


def train_with_axolotl(job: Job, *, only_preflight: bool = False) -> None:
    """Check, write the configuration, run the program, and keep what it made.

    Args:
        job: The job; one that is not to be executed ends with the configuration.
        only_preflight: Check, and train nothing.

    Raises:
        Ended: It was refused; the program is missing, failed, or was stopped.
    """
    from llmops_kernel.finetune.worker.training import export, write_packages

    write_packages(job)
    execute = bool(job.run.get("execute", True))
    if execute and job.folder.trained.exists() and not only_preflight:
        export(job, job.folder.read_json(job.folder.trained))  # trained before it was broken off
        return
    program = _program() if execute else ""
    path = _look(job, here=execute)
    if only_preflight or not execute:
        return
    if reason := job.stop_asked():
        raise Ended(STOPPED, reason)
    made = job.folder.path / "axolotl"
    goes_on = newest_checkpoint(made) if job.run.get("resume") else None
    first = int(goes_on.name.rpartition("-")[2]) if goes_on else 0
    if goes_on is None:
        shutil.rmtree(made, ignore_errors=True)  # of a time that came to no checkpoint
    job.emit({"event": "train", "steps": job.train["max_steps"] or 0, "from_step": first})
    metrics = _run(job, [program, "train", str(path)], first)
    if not any(made.glob("*.safetensors")):
        raise Ended(FAILED, "axolotl wrote no weights", detail=str(made))
    job.folder.final.mkdir(exist_ok=True)
    for file in made.iterdir():
        if file.is_file() and not file.name.endswith(_UNSAFE):
            shutil.copy2(file, job.folder.final / file.name)
    trained: dict[str, Any] = {"metrics": metrics, "gate": None}
    write_json(job.folder.trained, trained)
    export(job, trained)


def _program() -> str:
    beside = Path(sys.executable).parent / "axolotl"
    program = str(beside) if beside.exists() else shutil.which("axolotl")
    if program is None:
        raise Ended(
            REFUSED, "axolotl is not installed in this environment",
            hint="llmops env create axolotl; axolotl.yaml is in the run's folder",
        )  # fmt: skip
    return program


def _look(job: Job, *, here: bool) -> Path:
    """Make the pre-flight, tell its verdict, and return the configuration it led to."""
    from llmops_kernel.finetune.worker.axolotl_schema import check_by_schema
    from llmops_kernel.finetune.worker.beforehand import look_beforehand
    from llmops_kernel.finetune.worker.verdict import give_verdict

    found, length = look_beforehand(job, here=here)
    if job.run["eval"]["gate"] and here:
        found.add("gate", "stop", "Axolotl does not measure the base, so no gate can be judged",
                  fatal=True, hint="Leave eval.gate out, or train with backend: trl")  # fmt: skip
    path = write_config(job.run, length)
    check_by_schema(path, found)
    give_verdict(job, found)
    return path


def _run(job: Job, command: list[str], step: int) -> dict[str, Any]:
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
    stopped = ""
    for line in _lines(child):
        if not stopped and (stopped := job.stop_asked()):
            child.send_signal(signal.SIGTERM)
        if line:
            sys.stdout.write(line)
        for logged in _LOGGED.findall(line):
            step = _told(job, logged, step, metrics)
    if child.wait() and not stopped:
        raise Ended(FAILED, "axolotl failed", detail=f"exit code {child.returncode}",
                    hint="%finetune logs shows what it printed")  # fmt: skip
    if stopped:
        raise Ended(STOPPED, stopped)
    return {**metrics, "steps": step}


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """Yield what a program prints, and "" now and then while it is silent."""
    said: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in child.stdout or ():
            said.put(line)
        said.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = said.get(timeout=_POLL_S)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


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
