"""Clients that a process may open only once for a folder, shared by those who need them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_T = TypeVar("_T")


@dataclass
class _Used(Generic[_T]):
    client: _T
    users: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)


class Shared(Generic[_T]):
    """Counts who uses the client of a folder, and closes it after the last one.

    Args:
        opening: Opens the client of a folder.
        closing: Closes it.
    """

    def __init__(self, opening: Callable[[Path], _T], closing: Callable[[Path, _T], None]) -> None:
        self._opening = opening
        self._closing = closing
        self._used: dict[Path, _Used[_T]] = {}
        self._lock = threading.Lock()

    def take(self, path: Path) -> tuple[_T, threading.RLock]:
        """Return the client of a folder, and the lock for clients that bear one thread only."""
        key = path.resolve()
        with self._lock:
            used = self._used.get(key)
            if used is None:
                used = self._used[key] = _Used(self._opening(key))
            used.users += 1
            return used.client, used.lock

    def give_back(self, path: Path) -> None:
        """Say that a client that was taken is not needed any more."""
        key = path.resolve()
        with self._lock:
            used = self._used[key]
            used.users -= 1
            if used.users == 0:
                del self._used[key]
                self._closing(key, used.client)
