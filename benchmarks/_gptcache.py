"""GPTCache in an environment of its own, handed our vectors: what the cache is measured beside.

It never enters the project's environment: it is unmaintained, and installs missing back ends by
itself while it runs. So everything it will import is put in beforehand, and pip is taken out of
its environment's reach when a job runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

VERSION = "0.1.44"
FOLDER = Path(__file__).parent / ".envs" / "gptcache"
NEEDS = ("faiss-cpu==1.15.1", "sqlalchemy==2.1.9", "numpy==2.4.6")
_SIDE = Path(__file__).with_name("_gptcache_side.py")
_DONE = "made"
_WANTED = "\n".join((f"gptcache=={VERSION}", *NEEDS))


def side_python() -> Path | None:
    """Return the side environment's interpreter, or None where it was not made."""
    python, made = FOLDER / "bin" / "python", FOLDER / _DONE
    if not (python.exists() and made.exists()):
        return None
    return python if made.read_text().strip() == _WANTED else None


def make() -> Path:
    """Make the environment unless it is there, and return its interpreter.

    Raises:
        SystemExit: pip failed.
    """
    if (python := side_python()) is not None:
        return python
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    python = FOLDER / "bin" / "python"
    # The project's own constraints must not bend the peer's dependencies.
    clean = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    if subprocess.run([*pip, *_WANTED.split()], env=clean, check=False).returncode:
        sys.exit(f"pip could not install gptcache=={VERSION}")
    (FOLDER / _DONE).write_text(_WANTED + "\n")
    return python


def run(
    python: Path,
    job: dict[str, Any],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
    keep: Path | None = None,
) -> dict[str, Any]:
    """Do a job in the side environment with vectors made here.

    Args:
        python: Its interpreter.
        job: ``kind`` and what `_gptcache_side` wants for it.
        embed: Makes the vectors of texts.
        keep: Where its SQLite file is copied to.

    Raises:
        SystemExit: It failed.
    """
    texts = list(
        dict.fromkeys([*job.get("entries", ()), *job.get("queries", ()), *job.get("requests", ())])
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "vectors.npy", embed(texts), allow_pickle=False)
        (folder / "job.json").write_text(json.dumps({**job, "texts": texts}), encoding="utf-8")
        env = {**os.environ, "PIP_NO_INDEX": "1", "OMP_NUM_THREADS": "1"}
        command = [str(python), str(_SIDE), str(folder)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"GPTCache failed:\n{done.stderr[-2_000:]}")
        if keep is not None:
            shutil.copy(folder / "sqlite.db", keep)
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return result


if __name__ == "__main__":
    print(f"GPTCache {VERSION} is installed in {make().parent.parent.name}")
