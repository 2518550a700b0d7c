"""What is installed: which extras, and whether something is known to be malicious."""

from __future__ import annotations

import re
import site
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Releases that were malware. litellm 1.82.7 and 1.82.8 took keys (PYSEC-2026-2); much pulls it in.
_POISONED = {"litellm": ("1.82.7", "1.82.8")}
# The file that litellm 1.82.8 left in site-packages; it runs at every start of Python.
_KNOWN_BAD = {"litellm_init.pth"}
# What the .pth files of packaging and coverage tools never need.
_STRANGE = re.compile(r"base64|b64decode|subprocess|urllib|http\.client|requests|socket|marshal")
_LONG = 4_096  # characters of code; packaging tools need a few hundred

_REQUIREMENT = re.compile(r"^([\w.-]+).*;\s*extra\s*==\s*['\"]([\w-]+)['\"]")
# Extras for people who use the package; `test` and `all` are made of these.
_COLLECTIONS = {"all", "test"}


@dataclass(frozen=True, slots=True)
class StartupFile:
    """A ``.pth`` file that should not be there.

    Attributes:
        reason: Why it was noticed.
        surely: Whether it is known to be malicious.
    """

    path: Path
    reason: str
    surely: bool


def extras() -> dict[str, list[str]]:
    """Return each extra of this distribution with its packages that are not installed."""
    missing: dict[str, list[str]] = {}
    try:
        lines = requires("llmops-kernel") or []
    except PackageNotFoundError:  # run from a source folder that was never installed
        return {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is None or match[2] in _COLLECTIONS:
            continue
        absent = missing.setdefault(match[2], [])
        if _version(match[1]) is None:
            absent.append(match[1])
    return missing


def poisoned_packages() -> list[str]:
    """Return installed releases that are known to be malicious, as ``name version``."""
    found = [(name, _version(name)) for name in _POISONED]
    return [f"{name} {number}" for name, number in found if number in _POISONED[name]]


def suspicious_startup_files(folders: Iterable[Path] | None = None) -> list[StartupFile]:
    """Return the ``.pth`` files that run code no packaging tool would.

    Args:
        folders: Where to look (default: every site-packages of this Python).
    """
    found: list[StartupFile] = []
    for folder in _site_folders() if folders is None else folders:
        for path in sorted(folder.glob("*.pth")):
            reason = _suspicion(path)
            if reason:
                found.append(StartupFile(path, reason, path.name in _KNOWN_BAD))
    return found


def _suspicion(path: Path) -> str:
    if path.name in _KNOWN_BAD:
        return "left by a malicious release"
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # Python cannot run what cannot be read either
    # Python executes the lines that begin so, and takes the others for folders.
    code = "\n".join(line for line in text.splitlines() if line.startswith(("import ", "import\t")))
    if match := _STRANGE.search(code):
        return f"runs code with {match[0]}"
    return f"runs {len(code)} characters of code" if len(code) > _LONG else ""


def _site_folders() -> list[Path]:
    names = [*site.getsitepackages(), site.getusersitepackages()]
    names += [name for name in sys.path if name.endswith(("site-packages", "dist-packages"))]
    return [folder for folder in dict.fromkeys(map(Path, names)) if folder.is_dir()]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
