"""Which backend trains, with which interpreter, and the processes that do it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel import envs
from llmops_kernel.envs import has_gpu as has_gpu
from llmops_kernel.errors import UsageProblem
from llmops_kernel.finetune.quota import cpu_quota
from llmops_kernel.guard import looks_secret

if TYPE_CHECKING:
    from llmops_kernel.finetune.layout import RunFolder
    from llmops_kernel.finetune.spec.model import BackendSpec

# A gated base cannot be fetched without it; no other secret has business in the training.
_NEEDED = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}
_QUIET = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "WANDB_DISABLED": "true",
    "DO_NOT_TRACK": "1",
}


def chosen_backend(spec: BackendSpec) -> str:
    """Return the backend that trains: Unsloth where a GPU and its environment are, else TRL."""
    if spec.name == "axolotl-export":
        return "axolotl"
    if spec.name != "auto":
        return spec.name
    if spec.python is None and has_gpu() and envs.find("unsloth").fits:
        return "unsloth"
    return "trl"


def interpreter(spec: BackendSpec) -> str:
    """Return the interpreter that trains, or checks what trains elsewhere ("" if none can).

    Raises:
        MissingEnvironment: The side environment was not made yet.
        UsageProblem: ``backend.python`` is no program.
    """
    if spec.name == "axolotl-export" and spec.python is None:
        # Nothing trains here; what can read rows and template checks them.
        able = (envs.find(name) for name in ("axolotl", "trl"))
        return next((str(each.python) for each in able if each.fits), "")
    if spec.python is None:
        return str(envs.python_of(chosen_backend(spec)))
    # Not resolved: a link of a virtual environment is what makes it one.
    path = Path(spec.python).expanduser().absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise UsageProblem("backend.python is no interpreter", detail=str(spec.python))
    return str(path)


def threads_of(spec: BackendSpec) -> int:
    """Return how many CPU threads the training uses."""
    return cpu_quota() if spec.threads == "auto" else spec.threads


def variables(backend: str, threads: int) -> dict[str, str]:
    """Return the environment of the worker: quiet, without our secrets, with a bound on threads."""
    values = {
        name: value
        for name, value in envs.command_env(backend).items()
        if name in _NEEDED or not looks_secret(name)
    }
    values |= _QUIET
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        values[name] = str(threads)
    values.setdefault("CUDA_VISIBLE_DEVICES", "0")  # one process trains on one GPU
    return values


def spawn(folder: RunFolder, lock: int) -> None:
    """Start the supervisor of a run, in a session of its own.

    It outlives this process and its kernel. The lock on the model's name goes with it. What is
    started here leaves at once, so that the supervisor is nobody's child and leaves no zombie.

    Args:
        folder: The run, with its ``run.json``.
        lock: The descriptor that holds the lock.
    """
    command = [
        sys.executable, "-m", "llmops_kernel.finetune.supervise", str(folder.path), str(lock),
    ]  # fmt: skip
    with (folder.path / "supervisor.log").open("ab") as log:
        subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(lock,),
            cwd=folder.path,
            check=True,
        )
