"""Tokens of one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, in the provider's count or ours.

    ``input_tokens`` includes cached ones and ``output_tokens`` includes reasoning, as in OpenAI's
    usage object. ``estimated`` says that we counted because the provider did not, or was wrong.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    estimated: bool = False

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.input_audio_tokens + other.input_audio_tokens,
            self.output_audio_tokens + other.output_audio_tokens,
            self.estimated or other.estimated,
        )

    def body(self) -> dict[str, Any]:
        """Return OpenAI's usage object."""
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "audio_tokens": self.input_audio_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": self.output_audio_tokens,
            },
        }

    @classmethod
    def from_body(cls, body: Any) -> Usage | None:
        """Read OpenAI's usage object; None when it is missing or makes no sense."""
        if not isinstance(body, Mapping):
            return None
        prompt = body.get("prompt_tokens_details") or {}
        completion = body.get("completion_tokens_details") or {}
        counts = {
            "input_tokens": body.get("prompt_tokens"),
            "output_tokens": body.get("completion_tokens", 0),  # embeddings have none
            "cached_tokens": prompt.get("cached_tokens") or 0,
            "cache_write_tokens": prompt.get("cache_write_tokens") or 0,
            "reasoning_tokens": completion.get("reasoning_tokens") or 0,
            "input_audio_tokens": prompt.get("audio_tokens") or 0,
            "output_audio_tokens": completion.get("audio_tokens") or 0,
        }
        if any(not isinstance(v, int) or isinstance(v, bool) or v < 0 for v in counts.values()):
            return None
        if counts["cached_tokens"] + counts["cache_write_tokens"] > counts["input_tokens"]:
            return None
        return cls(**counts)
