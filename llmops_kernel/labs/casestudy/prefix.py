"""A provider's prompt cache: a prefix that was read lately is read again for less.

As OpenAI documents it: prefixes of 1,024 tokens and more, in steps of 128, kept for 5 to 10
minutes after their last use (here 5). What it costs is the price list's own rate for cached input.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from llmops_kernel.calls.messages import dump
from llmops_kernel.prompts.compress.content import tokens_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.usage import Usage

LEAST, STEP, TTL_S = 1_024, 128, 300.0

Prefixes = tuple[tuple[str, int], ...]


def prefixes_of(messages: Sequence[Message]) -> Prefixes:
    """Return the beginnings of a prompt, message by message: their hash and their tokens.

    Only beginnings that are long enough to be cached count.
    """
    found = []
    state = blake2b(digest_size=16)
    tokens = 0
    for message in messages:
        state.update(dump(message).encode("utf-8", "surrogatepass"))
        tokens += tokens_of([message])
        if tokens >= LEAST:
            found.append((state.hexdigest(), tokens))
    return tuple(found)


class PrefixCache:
    """What one provider remembers of prompts, by model."""

    def __init__(self, ttl_s: float = TTL_S) -> None:
        self._ttl_s = ttl_s
        self._seen: dict[tuple[str, str], float] = {}

    def read(self, model: str, prefixes: Prefixes, now: float) -> int:
        """Read a prompt; return how many of its tokens come from the cache.

        Args:
            model: The model; each has a cache of its own.
            prefixes: See `prefixes_of`.
            now: Seconds; must not go back.
        """
        cached = 0
        for digest, tokens in prefixes:
            last = self._seen.get((model, digest))
            if last is not None and now - last <= self._ttl_s:
                cached = max(cached, tokens // STEP * STEP)
            self._seen[model, digest] = now
        return cached


def with_cached(usage: Usage, cached: int) -> Usage:
    """Return the usage of a call whose prefix came from the provider's cache."""
    return replace(usage, cached_tokens=min(cached, usage.input_tokens))
