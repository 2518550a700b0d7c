"""One name for everything that affects an answer.

A field the cache does not know is part of the name: rather a call too many than another's answer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmops_kernel._version import __version__
from llmops_kernel.calls.offline.engine import FINGERPRINT

if TYPE_CHECKING:
    from llmops_kernel.calls import Request
    from llmops_kernel.calls.catalog import Target

# Counted up when answers are written or chosen in another way.
_VERSION = 1

# How an answer is sent, and what a provider keeps books by: no model reads these. The caller's
# own `user` stays in: one end user's answers are not another's.
_BESIDE = ("stream", "stream_options", "metadata", "prompt_cache_key", "prompt_cache_retention")

# What a stream tells in pieces that a whole answer has not got, or the other way round.
_SHAPED = ("logprobs", "top_logprobs")


def facts_of(request: Request, target: Target, *, tenant: str, salt: str) -> str:
    """Return what affects the answer to a request, as canonical JSON.

    Args:
        request: The request.
        target: Where it goes: the provider's URL and headers and the model's own name count, the
            alias it was called by does not.
        tenant: Whose answers these are; tenants share nothing.
        salt: Versions of policies; an answer given under another one is not served.

    Raises:
        TypeError: The body holds what is no JSON.
        ValueError: The tenant is missing, or the body holds what is no JSON.
    """
    return _facts(request.to_body(), request, target, tenant, salt)


def place_of(request: Request, target: Target, *, tenant: str, salt: str) -> str:
    """Return what affects the answer to a chat request apart from its last message's text.

    The form of that message stays in: a text, or a list with one text. Raises as `facts_of` does.
    """
    body: dict[str, Any] = request.to_body()
    *before, last = body["messages"]
    content = last["content"]
    form = None if isinstance(content, str) else [{**part, "text": None} for part in content]
    body["messages"] = [*before, {**last, "content": form}]
    return _facts(body, request, target, tenant, salt)


def _facts(body: dict[str, Any], request: Request, target: Target, tenant: str, salt: str) -> str:
    if not tenant:
        raise ValueError("a cached answer needs a tenant")
    shape = request.stream if any(name in body for name in _SHAPED) else None
    for name in _BESIDE:
        body.pop(name, None)
    body["model"] = target.model
    if isinstance(heat := body.get("temperature"), int):
        body["temperature"] = float(heat)  # 0 and 0.0 are one temperature, written differently
    # The model in this process is a part of the program: a new version answers in another way.
    engine = [FINGERPRINT, __version__] if target.simulated else []
    place = [target.name, target.base_url, sorted(target.headers.items()), engine]
    return json.dumps(
        [_VERSION, tenant, salt, request.kind, place, shape, body],
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    )
