"""What OpenAI-compatible servers send, checked before anything trusts it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NoReturn

from llmops_kernel.calls.reply import Reply
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import BadRequest, ProviderError

if TYPE_CHECKING:
    from aiohttp import StreamReader

    from llmops_kernel.calls.catalog import Target
    from llmops_kernel.calls.reply import Chunk

_CHAT_FIELDS = {"id", "object", "created", "model", "choices", "usage", "llmops"}
_EMBEDDING_FIELDS = {"object", "data", "model", "usage", "llmops"}

# Escaped to ASCII, because a lone surrogate has no UTF-8; built once, because that costs.
_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(value: Any) -> bytes:
    """Return compact JSON as bytes.

    Raises:
        BadRequest: JSON cannot express it, or it is nested too deeply.
    """
    try:
        return _encoder.encode(value).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"The request cannot be written as JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(raw: bytes | str) -> Any:
    """Read JSON, strictly (no NaN).

    Raises:
        ValueError: It is not JSON, not UTF-8, or nested too deeply.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8-sig")
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


async def read_bounded(content: StreamReader, limit: int) -> bytes | None:
    """Read a body to its end; None when it is larger than ``limit`` bytes (unpacked)."""
    piece: bytes = await content.readany()
    if content.at_eof() and len(piece) <= limit:
        return piece
    pieces, size = [piece], len(piece)
    while size <= limit:
        piece = await content.readany()
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    return None


def chat_reply(body: Any, target: Target) -> Reply:
    """Read a ``chat.completion`` body.

    Raises:
        ProviderError: It is an error, or no completion.
    """
    choices = _objects(body, "choices")
    for index, choice in enumerate(choices):
        message = choice.setdefault("message", {})
        if not isinstance(message, dict):
            raise not_a_completion()
        _check_calls(message)
        choice.setdefault("index", index)
    return Reply(
        id=_text(body, "id"),
        model=_text(body, "model") or target.model,
        created=_created(body),
        choices=tuple(choices),
        usage=Usage.from_body(body.get("usage"), tier=body.get("service_tier")),
        provider=target.provider,
        simulated=target.simulated,
        extra={key: value for key, value in body.items() if key not in _CHAT_FIELDS},
    )


def embedding_reply(body: Any, target: Target) -> Reply:
    """Read an embeddings body (raises `ProviderError` when it is none)."""
    data = _objects(body, "data")
    return Reply(
        id="",
        model=_text(body, "model") or target.model,
        created=int(time.time()),
        choices=tuple(data),
        usage=Usage.from_body(body.get("usage")),
        provider=target.provider,
        simulated=target.simulated,
        kind="embeddings",
        extra={key: value for key, value in body.items() if key not in _EMBEDDING_FIELDS},
    )


def stream_chunk(body: Any) -> Chunk:
    """Check one ``chat.completion.chunk``.

    Raises:
        ProviderError: It is an error, or no chunk.
    """
    if isinstance(body, dict) and body.get("choices") is None and "error" not in body:
        body["choices"] = []  # some servers send the usage without choices
    for choice in _objects(body, "choices"):
        delta = choice.get("delta")
        if delta is None:
            choice["delta"] = delta = {}
        index = choice.setdefault("index", 0)
        if not isinstance(delta, dict) or not isinstance(index, int):
            raise not_a_completion()
        _check_calls(delta, number=True)
    usage, tier = body.get("usage"), body.get("service_tier")
    if isinstance(usage, dict) and tier is not None:
        usage.setdefault("service_tier", tier)  # prices differ by it, and it stands beside
    chunk: Chunk = body
    return chunk


def as_chunk(reply: Reply) -> Chunk:
    """Return a whole reply as the one chunk of a stream, for servers that do not stream."""
    choices = []
    for choice in reply.choices:
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [
                {"index": index, **call} for index, call in enumerate(delta["tool_calls"])
            ]
        choices.append(
            {
                "index": choice["index"],
                "delta": delta,
                "finish_reason": choice.get("finish_reason") or "stop",
            }
        )
    return {
        "id": reply.id,
        "object": "chat.completion.chunk",
        "created": reply.created,
        "model": reply.model,
        "choices": choices,
        "usage": reply.usage.body() if reply.usage else None,
    }


def error_text(body: Any) -> str:
    """Return the sentence in an error body of any common shape, shortened."""
    found = body
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found[:500] if isinstance(found, str) else ""


def not_a_completion(body: Any = None) -> ProviderError:
    """Return the error for an answer that claims success and is none."""
    if isinstance(body, dict) and body.get("error"):
        wrapped = body["error"] if isinstance(body["error"], dict) else {"message": body["error"]}
        return ProviderError(
            "The provider reported an error instead of an answer",
            detail=error_text(body),
            upstream_body={"error": wrapped},
        )
    return ProviderError(
        "The provider's answer is not a completion",
        hint="Check that the provider's base_url is that of an OpenAI-compatible API",
    )


def too_large() -> ProviderError:
    """Return the error for an answer beyond the bound on its size."""
    return ProviderError("The provider's answer is too large")


def _objects(body: Any, name: str) -> list[dict[str, Any]]:
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise not_a_completion(body)
    return items


def _check_calls(message: dict[str, Any], *, number: bool = False) -> None:
    """Check tool calls, and repair what servers are known to get wrong."""
    calls = message.get("tool_calls")
    if calls is None:
        return
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise not_a_completion()
    for index, call in enumerate(calls):
        if number:
            call.setdefault("index", index)
        function = call.get("function") or {}
        if not isinstance(function, dict):
            raise not_a_completion()
        arguments = function.get("arguments")
        if isinstance(arguments, dict):  # some servers send the object instead of its text
            function["arguments"] = encode(arguments).decode()
        elif not isinstance(arguments or "", str) or not isinstance(
            function.get("name") or "", str
        ):
            raise not_a_completion()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def _created(body: dict[str, Any]) -> int:
    value: Any = body.get("created")
    sane = isinstance(value, int | float) and 0 <= value < 2**53
    return int(value) if sane else int(time.time())
