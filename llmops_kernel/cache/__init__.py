"""Answers that are given again: a repeated request costs nothing and takes no time.

`stage` asks before a call leaves and keeps what comes back; `policy` says which requests and
answers that is safe for; `key` makes one name of everything that affects an answer; `flight` makes
one upstream call of identical requests on their way. The answers lie in the record (`record`) or
on a Redis server (`redis_server`), sealed, so that an edited one is never served.
"""

from llmops_kernel.cache.exact import ExactCache
from llmops_kernel.cache.options import CacheOptions, caching
from llmops_kernel.cache.semantic.background import Door
from llmops_kernel.cache.semantic.embedding import LateEmbedder
from llmops_kernel.cache.stage import CacheStage
from llmops_kernel.cache.stats import CacheStats

__all__ = [
    "CacheOptions",
    "CacheStage",
    "CacheStats",
    "Door",
    "ExactCache",
    "LateEmbedder",
    "caching",
]
