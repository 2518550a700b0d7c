"""What a process was started with: the person's keys and upstream, or another process's door."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from llmops_kernel.calls.keys import DOOR_KEY
from llmops_kernel.settings import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

# The name under which a child process keeps the key of the door it was started behind.
OUTER_KEY = "LLMOPS_OUTER_DOOR"


class Surroundings:
    """What this process was started with, before a session took its environment over."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {}
        self.hidden: list[str] = []
        self._upstream: str | None = None
        self._tokens: set[str] = set()

    def taken_over(self, environ: Mapping[str, str], keys: dict[str, str], token: str) -> None:
        """Remember what was taken, for further sessions of this process."""
        if not self._tokens:
            self._upstream = self.upstream(environ)
        self._tokens.add(token)
        self.keys.update({k: v for k, v in keys.items() if not v.startswith(DOOR_KEY)})

    def hide(self, environ: MutableMapping[str, str]) -> list[str]:
        """Return the texts that the record must not show, and take them out of the environment."""
        text = environ.pop(HIDDEN, "")
        with contextlib.suppress(ValueError):
            found = json.loads(text) if text else []
            self.hidden += [each for each in found if isinstance(each, str)]
        return self.hidden

    def upstream(self, environ: Mapping[str, str]) -> str | None:
        """Return the base URL the person had set for OpenAI's clients."""
        if environ.get("OPENAI_API_KEY", "").partition(":")[0] in self._tokens:
            return self._upstream
        return environ.get("OPENAI_BASE_URL") or environ.get("OPENAI_API_BASE") or None

    def outer_door(self, environ: Mapping[str, str]) -> tuple[str, str] | None:
        """Return URL and key of another process's endpoint that this one was started behind."""
        url, key = self.upstream(environ), environ.get("OPENAI_API_KEY", "")
        mine = key.partition(":")[0] in self._tokens
        return (url, key) if url and key.startswith(DOOR_KEY) and not mine else None


# One per process, as its environment is; sessions share it.
surroundings = Surroundings()
