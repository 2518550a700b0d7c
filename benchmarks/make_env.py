"""Make the side environment that holds the peer the gateway is measured beside.

The peer never enters the project's own environment: it brings over a hundred distributions. Run
``python benchmarks/make_env.py``; the environment is made once, in ``benchmarks/.envs/litellm``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

LITELLM = "1.106.2"
# These two releases carried malware (advisory PYSEC-2026-2). They are never installed, not even
# to be measured.
REFUSED = frozenset({"1.82.7", "1.82.8"})
FOLDER = Path(__file__).parent / ".envs" / "litellm"
_DONE = "made"
_READ_VERSION = "from importlib.metadata import version; print(version('litellm'))"


def side_python() -> Path | None:
    """Return the side environment's interpreter, or None where it was not made."""
    python = FOLDER / "bin" / "python"
    return python if (FOLDER / _DONE).exists() and python.exists() else None


def make(version: str = LITELLM) -> Path:
    """Make the environment unless it is there, and return its interpreter.

    Args:
        version: The release of LiteLLM to install.

    Raises:
        SystemExit: The version is one that must not be installed, or pip failed.
    """
    _refuse(version)
    python = side_python()
    if python is not None and installed(python) == version:
        return python
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    python = FOLDER / "bin" / "python"
    wanted = [f"litellm[proxy]=={version}", *(f"litellm!={bad}" for bad in sorted(REFUSED))]
    # The project's own constraints must not bend the peer's dependencies.
    clean = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", *wanted]
    if subprocess.run(pip, env=clean, check=False).returncode:
        sys.exit(f"pip could not install litellm[proxy]=={version}")
    _refuse(installed(python))
    (FOLDER / _DONE).write_text(version + "\n")
    return python


def installed(python: Path) -> str:
    """Return which LiteLLM an interpreter has, without importing it."""
    shown = subprocess.run([str(python), "-c", _READ_VERSION], capture_output=True, text=True)
    return shown.stdout.strip()


def _refuse(version: str) -> None:
    if version in REFUSED:
        sys.exit(f"litellm {version} carried malware (PYSEC-2026-2) and is never installed")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the side environment of the benchmarks")
    parser.add_argument(
        "--version", default=LITELLM, help="release of LiteLLM (default: %(default)s)"
    )
    print(f"litellm {installed(make(parser.parse_args().version))} is installed")


if __name__ == "__main__":
    main()
