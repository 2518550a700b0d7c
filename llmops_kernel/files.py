"""Files that are replaced as a whole: a reader finds the old one or the new one, never a part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file in one step, and wait until it is on the disk.

    What was at ``path`` stays until the new content is complete, and a failure leaves nothing
    half-written beside it.

    Args:
        path: The file, in a folder that is there.
        content: Text (written as UTF-8, its line ends as they are) or bytes.
        private: Whether only the owner may read it. Other files get the rights that the process
            gives to new files.

    Raises:
        OSError: It cannot be written.
    """
    part = path.with_name(f".{path.name[:80]}.{os.urandom(6).hex()}")
    data = content.encode() if isinstance(content, str) else content
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync(path.parent)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; its content is never in memory as a whole."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk (or `OSError`)."""
    if os.name == "nt":  # which neither opens folders nor needs it
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
