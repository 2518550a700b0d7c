"""Puts the ``llmops`` kernelspec where Jupyter looks.

The wheel brings it to the environment it is installed in; this is for a kernel that should be
offered by a Jupyter of another environment, or to one user.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from llmops_kernel.errors import UsageProblem

NAME = "llmops"


def spec_folder() -> Path:
    """Return the kernelspec within this package, whose ``python`` means the Jupyter's own."""
    return Path(__file__).parent / "spec"


def install(
    *, user: bool = False, sys_prefix: bool = False, prefix: str | Path | None = None
) -> Path:
    """Install the kernelspec for this Python and return its folder.

    Args:
        user: Into the user's Jupyter folder.
        sys_prefix: Into this environment (what happens without any argument, too).
        prefix: Into ``PREFIX/share/jupyter/kernels``.

    Raises:
        UsageProblem: More than one place was named, or the place cannot be written.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    if sum((user, sys_prefix, prefix is not None)) > 1:
        raise UsageProblem(
            "A kernelspec goes to one place", hint="Give one of --user, --sys-prefix and --prefix"
        )
    place = None if user else str(prefix or sys.prefix)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / NAME
        copy.mkdir()
        for file in spec_folder().iterdir():  # contents only: the originals may be read-only
            (copy / file.name).write_bytes(file.read_bytes())
        spec = json.loads((copy / "kernel.json").read_text(encoding="utf-8"))
        # Another environment's Jupyter would run its own `python`.
        spec["argv"][0] = sys.executable
        (copy / "kernel.json").write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        try:
            installed = KernelSpecManager().install_kernel_spec(
                str(copy), kernel_name=NAME, user=user, prefix=place
            )
        except OSError as error:
            raise UsageProblem(
                "The kernelspec cannot be written there",
                detail=str(error),
                hint="Give --user, or a --prefix you may write to",
            ) from error
    return Path(installed)
