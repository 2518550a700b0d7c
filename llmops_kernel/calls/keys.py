"""Where the providers' keys come from: this process's memory, the environment, the key store."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from llmops_kernel.calls.providers import ALSO_KNOWN, key_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

# The name of our entries in the system's key store; the user name of an entry is the variable's.
SERVICE = "llmops"

# What an endpoint's key begins with. It opens a door, never a provider.
DOOR_KEY = "llmops-"

# A key store can take long to answer, and a key may be added while we run.
_FORGET_S = 30.0


class Keys:
    """Looks keys up by the name of their variable.

    Looked up in this order: keys taken out of the environment, the environment, the system's key
    store (if keyring is installed). Values are never logged nor shown.

    Args:
        environ: The environment; read at each look-up.
        taken: Keys taken out of the environment before, by variable.
    """

    def __init__(self, environ: Mapping[str, str], taken: Mapping[str, str] | None = None) -> None:
        self._environ = environ
        self._taken = dict(taken or {})
        self._stored: dict[str, tuple[float, str]] = {}

    def __repr__(self) -> str:
        return f"Keys({len(self._taken)} taken)"

    def get(self, name: str) -> str | None:
        """Return the key that a variable holds, or None. Surrounding white space is dropped."""
        if not name:
            return None
        for each in (name, ALSO_KNOWN.get(name, name)):
            for source in (self._taken, self._environ):
                value = source.get(each, "").strip()
                if value and not value.startswith(DOOR_KEY):
                    return value
        return self._from_store(name) or None

    def has(self, name: str) -> bool:
        """Whether there is a key under this name."""
        return self.get(name) is not None

    def take(
        self, environ: MutableMapping[str, str], names: Iterable[str] | None = None
    ) -> dict[str, str]:
        """Remove keys from an environment and remember them.

        Args:
            environ: The environment; changed in place.
            names: The variables (default: those of the built-in providers).

        Returns:
            What was removed, by variable.
        """
        found = take(environ, key_names() if names is None else names)
        self._taken.update(found)
        return found

    def _from_store(self, name: str) -> str:
        now = time.monotonic()
        at, value = self._stored.get(name, (0.0, ""))
        if not value and (not at or now - at > _FORGET_S):
            value = _stored(name)
            self._stored[name] = (now, value)
        return value


def take(environ: MutableMapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Remove variables from an environment and return those that were set."""
    return {name: environ.pop(name) for name in names if name in environ}


def _stored(name: str) -> str:
    if find_spec("keyring") is None:
        return ""
    import keyring
    from keyring.errors import KeyringError

    try:
        return (keyring.get_password(SERVICE, name) or "").strip()
    except (KeyringError, OSError, RuntimeError):  # no store, a locked one, no session bus
        return ""
