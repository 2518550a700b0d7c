"""Tokens of one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# More than any provider can serve in one call: such a count is noise, not usage.
_MAX_COUNT = 1_000_000_000

_COUNTS = (
    "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "input_audio_tokens", "output_audio_tokens",
)  # fmt: skip

# Billed parts with a price of their own, as (place in OpenAI's object, genai-prices' name).
_PROMPT_DETAILS = {"image_tokens": "input_image_tokens"}
_CACHED_DETAILS = {"audio_tokens": "cache_audio_read_tokens",
                   "image_tokens": "cache_image_read_tokens"}  # fmt: skip
_COMPLETION_DETAILS = {"image_tokens": "output_image_tokens"}
_BODY_DETAILS = {"citation_tokens": "output_citation_tokens", "num_search_queries": "web_searches"}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, in the provider's count or ours.

    ``input_tokens`` includes cached ones and ``output_tokens`` includes reasoning, as in OpenAI's
    usage object.

    Attributes:
        estimated: We counted because the provider did not, or was wrong.
        tier: The service tier the provider says it billed (``flex``, ``priority``); "" for none.
        details: Further billed units, ``(name, count)`` sorted by name, under genai-prices' usage
            names: ``cache_write_1h_tokens``, ``cache_audio_read_tokens``, ``web_searches``, ...
            Tokens among them are parts of the counts above, never on top of them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    estimated: bool = False
    tier: str = ""
    details: tuple[tuple[str, int], ...] = ()

    @property
    def total_tokens(self) -> int:
        """Input plus output tokens."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        details = dict(self.details)
        for name, count in other.details:
            details[name] = details.get(name, 0) + count
        return Usage(
            **{name: getattr(self, name) + getattr(other, name) for name in _COUNTS},
            estimated=self.estimated or other.estimated,
            tier=self.tier if self.tier == other.tier else "",
            details=tuple(sorted(details.items())),
        )

    def body(self) -> dict[str, Any]:
        """Return OpenAI's usage object."""
        prompt = {"cached_tokens": self.cached_tokens, "audio_tokens": self.input_audio_tokens}
        completion = {
            "reasoning_tokens": self.reasoning_tokens,
            "audio_tokens": self.output_audio_tokens,
        }
        if self.cache_write_tokens:
            prompt["cache_write_tokens"] = self.cache_write_tokens
        if self.details:
            details = dict(self.details)
            _put(prompt, _PROMPT_DETAILS, details)
            _put(completion, _COMPLETION_DETAILS, details)
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": prompt,
            "completion_tokens_details": completion,
        }

    @classmethod
    def from_body(cls, body: Any, *, tier: Any = None) -> Usage | None:
        """Read OpenAI's usage object; None when it is missing or makes no sense.

        Args:
            body: The ``usage`` object of a reply or of a stream's last chunk.
            tier: ``service_tier`` of the same body, which stands beside its usage.
        """
        if not isinstance(body, Mapping):
            return None
        prompt = _mapping(body.get("prompt_tokens_details"))
        completion = _mapping(body.get("completion_tokens_details"))
        cached = prompt.get("cached_tokens") or body.get("prompt_cache_hit_tokens") or 0
        thinking = completion.get("reasoning_tokens") or 0
        beside = 0 if thinking else body.get("reasoning_tokens") or 0
        counts = {
            "input_tokens": body.get("prompt_tokens"),
            "output_tokens": body.get("completion_tokens", 0),  # embeddings have none
            "cached_tokens": cached,
            "cache_write_tokens": prompt.get("cache_write_tokens") or 0,
            "reasoning_tokens": thinking or beside,
            "input_audio_tokens": prompt.get("audio_tokens") or 0,
            "output_audio_tokens": completion.get("audio_tokens") or 0,
        }
        details = {
            **_take(prompt, _PROMPT_DETAILS),
            **_take(_mapping(prompt.get("cached_tokens_details")), _CACHED_DETAILS),
            **_take(completion, _COMPLETION_DETAILS),
            **_take(body, _BODY_DETAILS),
        }
        if not all(_sane(count) for count in (*counts.values(), *details.values())):
            return None
        if counts["cached_tokens"] + counts["cache_write_tokens"] > counts["input_tokens"]:
            return None
        # Perplexity bills thinking and citations beside the completion's tokens, not among them.
        apart = beside + details.get("output_citation_tokens", 0)
        counts["output_tokens"] = _whole_output(counts, body.get("total_tokens")) + apart
        tier = tier or body.get("service_tier")
        return cls(
            **counts,
            tier=tier if isinstance(tier, str) else "",
            details=tuple(sorted(details.items())),
        )


def _whole_output(counts: dict[str, Any], total: Any) -> int:
    """Add thinking that is billed as output but left out of ``completion_tokens``.

    xAI and Gemini count it in ``total_tokens`` only.
    """
    output: int = counts["output_tokens"]
    if counts["reasoning_tokens"] > output:
        output += counts["reasoning_tokens"]
    return max(output, total - counts["input_tokens"]) if _sane(total) else output


def _sane(count: Any) -> bool:
    return isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MAX_COUNT


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _take(part: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: part[key] for key, name in names.items() if part.get(key)}


def _put(part: dict[str, int], names: Mapping[str, str], details: Mapping[str, int]) -> None:
    part.update({key: details[name] for key, name in names.items() if name in details})
