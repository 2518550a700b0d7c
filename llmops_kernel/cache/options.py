"""What one block of code wants of the cache, over the settings."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class CacheOptions:
    """What the calls of a block want; None leaves it to the settings.

    Attributes:
        ttl_s: Seconds an answer may be served; the settings' bound holds all the same.
        tags: Names under which the answers can be deleted together.
    """

    mode: Literal["off", "exact"] | None = None
    near: bool | None = None
    strict: bool | None = None
    semantic: Literal["off", "margin"] | None = None
    simulated: bool | None = None
    sampled: bool | None = None
    ttl_s: float | None = None
    tags: tuple[str, ...] = ()


_NOTHING = CacheOptions()
_options: ContextVar[CacheOptions] = ContextVar("llmops_cache", default=_NOTHING)


def current_options() -> CacheOptions:
    """Return what the running code wants."""
    return _options.get()


@contextmanager
def caching(
    mode: Literal["off", "exact"] | None = None,
    *,
    near: bool | None = None,
    strict: bool | None = None,
    semantic: Literal["off", "margin"] | None = None,
    simulated: bool | None = None,
    sampled: bool | None = None,
    ttl_s: float | None = None,
    tags: Sequence[str] = (),
) -> Iterator[CacheOptions]:
    """Say what the calls within a ``with`` block want of the cache.

    Blocks nest: an inner one keeps what it does not mention, and adds its tags. Calls that come
    over HTTP, from another task or process, are not within the block.

    Args:
        mode: ``exact`` or ``off``.
        near: Serve the answer to the same question in other manners too.
        strict: Ask the built-in verifier about questions that are not the same in other manners;
            False asks no verifier, a person's own neither.
        semantic: ``margin`` serves re-wordings too, where the evidence for that is there.
        simulated: Serve offline and simulated models from the cache too.
        sampled: Serve requests whose answer is drawn at random too.
        ttl_s: Seconds an answer may be served, at most what the settings allow.
        tags: Names under which the answers can be deleted together.

    Raises:
        UsageProblem: A value cannot be used.
    """
    if mode not in (None, "off", "exact"):
        raise UsageProblem("The cache's mode is off or exact")
    if semantic not in (None, "off", "margin"):
        raise UsageProblem("The semantic tier is off or margin")
    if ttl_s is not None and not ttl_s > 0:
        raise UsageProblem("An answer must be served for more than 0 seconds")
    if isinstance(tags, str) or not all(isinstance(tag, str) and tag for tag in tags):
        raise UsageProblem("Tags are a list of names")
    outer = _options.get()
    given = {
        name: value
        for name, value in (
            ("mode", mode), ("near", near), ("strict", strict), ("semantic", semantic),
            ("simulated", simulated), ("sampled", sampled), ("ttl_s", ttl_s),
        )
        if value is not None
    }  # fmt: skip
    merged = tuple(sorted({*outer.tags, *tags}))
    options = replace(outer, **given, tags=merged)  # type: ignore[arg-type]
    token = _options.set(options)
    try:
        yield options
    finally:
        _options.reset(token)
