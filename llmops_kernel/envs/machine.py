"""What this machine has that decides which environments fit it."""

from __future__ import annotations

import shutil
import subprocess


def has_gpu() -> bool:
    """Whether an NVIDIA GPU answers on this machine."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603
            [program, "-L"], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"GPU" in done.stdout
