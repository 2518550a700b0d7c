"""The secret behind keys and seals, and where it is kept.

Keys are hashes under the secret, so a record that got away does not tell what was asked, and who
has another secret sees none of these answers. Seals are hashes over a whole row: one that was
edited, moved to another key or given to another tenant does not fit.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.store.cache_rows import EntryRow

_BYTES = 32


class Seal:
    """Makes keys and seals.

    Args:
        secret: Any bytes; of a person's text as well as of the random file.
    """

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, digest_size=_BYTES, person=b"llmops-key").digest()
        self._mac = blake2b(secret, digest_size=_BYTES, person=b"llmops-seal").digest()

    def key(self, facts: str) -> str:
        """Return the key of an answer (hex, 48 characters)."""
        return blake2b(facts.encode(), digest_size=24, key=self._key).hexdigest()

    def sealed(self, row: EntryRow) -> EntryRow:
        """Return the row with its seal."""
        return row._replace(mac=self._of(row))

    def fits(self, row: EntryRow) -> bool:
        """Whether a row is as it was sealed."""
        try:
            return hmac.compare_digest(self._of(row), row.mac)
        except (TypeError, ValueError, AttributeError):  # no text where there must be one
            return False

    def _of(self, row: EntryRow) -> str:
        text = json.dumps(row._replace(mac=""), separators=(",", ":"))
        return blake2b(text.encode(), digest_size=_BYTES, key=self._mac).hexdigest()


def secret_in(path: Path) -> bytes:
    """Return the secret that a file keeps, made by whoever comes first.

    The file is readable by its owner only, and never seen half written.

    Raises:
        OSError: The file cannot be made or read.
    """
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            if os.name == "posix" and path.stat().st_mode & 0o077:
                path.chmod(0o600)
            text = path.read_text(encoding="ascii", errors="replace").strip()
            if len(text) >= 2 * _BYTES:
                return text.encode()
            path.unlink()  # cut short by a full disk: what it sealed is lost with it
        _make(path)
    raise OSError(f"{path} cannot be used")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES))
        try:
            os.link(name, path)  # fails if somebody was first
        except FileExistsError:
            return
        except OSError:  # a file system without links
            if not path.exists():
                Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
