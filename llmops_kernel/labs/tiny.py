"""A tiny base model, trained from nothing where the lab runs, in under a minute of CPU.

Llama's architecture, so that everything done with it (adapters, export, serving) is done as with a
large one. It has read the bank's documents and learnt to name the area of a question; it knows
nothing else, and is no language model to talk with.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_kernel.errors import RunFailed
from llmops_kernel.labs import bank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.finetune.registry import Version

MODULE = "llmops_kernel.labs.tiny_train"
_CODE = Path(__file__).with_name("tiny_train.py")
_WAIT = 1_800.0  # seconds; a loaded machine is slow, a hung one must not hang the kernel


def tiny_base(folder: str | Path | None = None) -> Path:
    """Return the folder of the tiny base, trained on first use (about half a minute of CPU).

    Args:
        folder: Where bases are kept (default: ``labs`` in the record's folder). Each lies below
            under a name made from the code and the texts that it is trained with.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: The training failed.
    """
    from llmops_kernel.settings import data_home

    home = Path(folder).expanduser().absolute() if folder else data_home() / "labs"
    found = home / f"tiny-base-{digest()}"
    if not (found / "model.safetensors").is_file():
        run_beside([MODULE, str(found)], "The tiny base could not be trained")
    return found


def register_base(name: str = "moorhen-tiny", folder: str | Path | None = None) -> Version:
    """Register the tiny base, so that ``base: moorhen-tiny`` finds it; trained on first use.

    Args:
        name: The model's name.
        folder: As for `tiny_base`.

    Raises:
        MissingEnvironment: The training environment was not made yet.
        RunFailed: The training failed.
    """
    from llmops_kernel.finetune.registry import Registry

    base = tiny_base(folder)
    facts = json.loads((base / "tiny.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="llmops-tiny-") as place:
        shutil.copytree(base, Path(place) / "merged")
        record = {
            "config": {"task": "chat", "from": "random weights"},
            "data": {"sha256": digest(), "train": len(bank.questions())},
            "base": {"name": "none: trained from random weights", "sha256": digest()},
            "task": "name the area of a question",
            "method": "full",
            "backend": "torch",
            "metrics": facts,
            "device": "CPU",
            "limits": ["It has read one fictional bank's documents and nothing else."],
        }
        return Registry().register(name, place, record)


def digest() -> str:
    """Return what tells one tiny base from another: a hash of its code and its texts."""
    hashed = hashlib.sha256(_CODE.read_bytes())
    for path in sorted(bank.documents_folder().rglob("*.md")):
        hashed.update(path.read_bytes())
    for question in bank.questions():
        hashed.update(f"{question.id} {question.question}\n".encode())
    return hashed.hexdigest()[:12]


def run_beside(module: Sequence[str], failed: str, *, wait: float = _WAIT) -> str:
    """Run one of our modules in the training environment.

    Args:
        module: The module's name and its arguments.
        failed: What to say if it fails, in one stable sentence.
        wait: Seconds after which it is stopped.

    Returns:
        What it printed.

    Raises:
        MissingEnvironment: The environment was not made yet.
        RunFailed: It failed, or took too long.
    """
    from llmops_kernel.envs import command_env, python_of

    variables = command_env("trl")
    # Threads only wait for each other at matrices this small: two take four times the CPU.
    variables["OMP_NUM_THREADS"] = "1"
    variables |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    command = [str(python_of("trl")), "-m", *module]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            command, env=variables, capture_output=True, text=True, timeout=wait, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RunFailed(failed, detail=f"no end after {wait:.0f} s") from error
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        raise RunFailed(failed, detail=" / ".join(last))
    return done.stdout
