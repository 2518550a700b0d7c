"""What may lie in a registered version: data, and nothing that runs when it is loaded."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem
from llmops_kernel.files import sha256_of, sync

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Loading one of these can run code that is in it.
_RUNS = {
    ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".h5",
    ".keras", ".py", ".pyc", ".so", ".sh", ".exe", ".dll", ".zip", ".tar", ".gz",
}  # fmt: skip
_STARTS = {
    b"PK\x03\x04": "a zip archive, as torch.save writes",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"#!": "a script",
}


def refuse_unsafe(folder: Path) -> None:
    """Refuse pickles, programs, links, and what else is no plain data.

    Pickles are known by their name and by their first bytes: one that was renamed is no safer.

    Raises:
        UsageProblem: There is one; names it.
    """
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_symlink():
            raise _refusal(f"{name} is a link")
        if path.is_dir():
            continue
        if not path.is_file():
            raise _refusal(f"{name} is no plain file")
        if _RUNS.intersection(suffix.lower() for suffix in path.suffixes[-1:]):
            raise _refusal(f"{name} can run code when it is loaded")
        with path.open("rb") as file:
            start = file.read(9)
        if path.suffix == ".safetensors" and start[8:] == b"{":
            continue  # begins with a length, which may look like anything
        if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            raise _refusal(f"{name} is a pickle")
        for mark, what in _STARTS.items():
            if start.startswith(mark):
                raise _refusal(f"{name} is {what}")


def copy_durably(source: Path, target: Path) -> None:
    """Copy a folder's files, and wait until they are on the disk."""
    for path in sorted(source.rglob("*")):
        to = target / path.relative_to(source)
        if path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to, follow_symlinks=False)


def sync_all(folder: Path) -> None:
    """Wait until a folder's files and their names are on the disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def hashes(folder: Path, leave_out: str) -> dict[str, dict[str, str | int]]:
    """Return SHA-256 and bytes of each file, by its path below the folder."""
    found: dict[str, dict[str, str | int]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != leave_out:
            found[name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    return found


def problems(folder: Path, files: Mapping[str, Mapping[str, object]], leave_out: str) -> list[str]:
    """Return what differs from what was registered: missing, changed and added files."""
    now = hashes(folder, leave_out)
    told = [f"{name} is missing" for name in files if name not in now]
    told += [f"{name} was added" for name in now if name not in files]
    told += [
        f"{name} was changed"
        for name, each in files.items()
        if name in now and now[name]["sha256"] != each["sha256"]
    ]
    return sorted(told)


def _refusal(what: str) -> UsageProblem:
    return UsageProblem(
        "The folder holds something other than data, and is not registered",
        detail=what,
        hint="Export weights as safetensors or GGUF, and register that folder",
    )
