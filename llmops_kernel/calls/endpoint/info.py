"""Where an endpoint listens, and what opens it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """Where an endpoint listens, and what opens it.

    Attributes:
        base_url: What clients take as OpenAI's base URL (it ends in ``/v1``).
        token: The bearer token.
    """

    base_url: str
    token: str = field(repr=False)

    def key(self, **names: str) -> str:
        """Return an API key; names in it tell the door who calls.

        Args:
            names: ``run``, ``notebook`` or ``cell``: a subprocess whose key says ``run="r1"`` is
                counted to that run.
        """
        told = ",".join(f"{name}={quote(value, safe='')}" for name, value in names.items())
        return f"{self.token}:{told}" if told else self.token

    def env(self, **names: str) -> dict[str, str]:
        """Return the variables that lead OpenAI clients here; for ``names`` see `key`."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_BASE": self.base_url,  # llama-index reads this one only
            "OPENAI_API_KEY": self.key(**names),
        }
