"""What a route looks at in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmops_kernel.calls import ChatRequest

_MEDIA = {"image_url", "input_image", "image", "input_audio", "audio", "file", "input_file"}
_JSON = {"json_object", "json_schema"}


def last_text(request: ChatRequest) -> str:
    """Return the text of the last message of the user; "" if there is none."""
    for message in reversed(request.messages):
        if message.get("role") == "user":
            return "\n".join(_texts(message))
    return ""


def is_conversation(request: ChatRequest) -> bool:
    """Whether the model has spoken already: the last question may not stand for itself."""
    return any(message.get("role") in ("assistant", "tool") for message in request.messages)


def wants_json(request: ChatRequest) -> bool:
    """Whether JSON is asked for."""
    return (request.response_format or {}).get("type") in _JSON


def schema_of(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the JSON schema that the answer is to match; None if none was given."""
    named = (request.response_format or {}).get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict) else None


def has_media(request: ChatRequest) -> bool:
    """Whether a message has an image, sound or a file."""
    return any(
        part.get("type") in _MEDIA
        for message in request.messages
        if isinstance(content := message.get("content"), list)
        for part in content
    )


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    if isinstance(content, str):
        yield content
        return
    for part in content or ():
        text = part.get("text")
        if isinstance(text, str):
            yield text
