"""What is asked of a model, in the vocabulary of OpenAI's chat completions.

Bodies are lossless: a field this module does not know is kept in ``extra`` and handed to the
provider as it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from llmops_kernel.calls.checks import (
    check_message,
    check_model,
    flag,
    integer,
    json_object,
    list_of_objects,
    number,
    whole,
)
from llmops_kernel.calls.messages import Message, dump, fingerprint, message_text
from llmops_kernel.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN = {
    "model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "temperature",
    "tools", "tool_choice", "response_format", "stop", "seed",
}  # fmt: skip


@dataclass(frozen=True)
class ChatRequest:
    """One chat completion request.

    Attributes:
        max_tokens: Bound on output tokens per choice, under whichever name the caller used.
        limit_field: The name the bound has in the body; None lets the upstream choose.
        extra: Every other field of the body, untouched.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    stop: Any = None
    seed: int | None = None
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    kind = "chat"

    @classmethod
    def from_body(cls, body: Any) -> ChatRequest:
        """Check and read a JSON body.

        Raises:
            BadRequest: Something no provider could serve, naming the field.
        """
        if not isinstance(body, dict):
            raise BadRequest("The request body must be a JSON object")
        check_model(body)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadRequest("messages must be a non-empty list", param="messages")
        for index, message in enumerate(messages):
            check_message(index, message)
        limit_field: Any = "max_completion_tokens"
        if body.get(limit_field) is None:
            limit_field = "max_tokens" if body.get("max_tokens") is not None else None
        return cls(
            model=body["model"],
            messages=tuple(messages),
            stream=flag(body, "stream"),
            n=whole(body, "n") or 1,
            max_tokens=whole(body, limit_field) if limit_field else None,
            temperature=number(body, "temperature"),
            tools=tuple(list_of_objects(body, "tools")),
            tool_choice=body.get("tool_choice"),
            response_format=json_object(body, "response_format"),
            stop=body.get("stop"),
            seed=integer(body, "seed"),
            limit_field=limit_field,
            extra={key: value for key, value in body.items() if key not in _KNOWN},
        )

    def to_body(self) -> dict[str, Any]:
        """Return the JSON body, without the fields nobody set."""
        body: dict[str, Any] = {"model": self.model, "messages": list(self.messages)}
        if self.stream:
            body["stream"] = True
        if self.n != 1:
            body["n"] = self.n
        if self.max_tokens is not None:
            body[self.limit_field or "max_tokens"] = self.max_tokens
        for name in ("temperature", "tool_choice", "response_format", "stop", "seed"):
            value = getattr(self, name)
            if value is not None:
                body[name] = value
        if self.tools:
            body["tools"] = list(self.tools)
        body.update(self.extra)
        return body

    @cached_property
    def text(self) -> str:
        """Everything the model will read, as one string: messages, tools and schema."""
        parts = [message_text(message) for message in self.messages]
        if self.tools:
            parts.append(dump(self.tools))
        if self.response_format:
            parts.append(dump(self.response_format))
        return "\n".join(parts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that affects the output (hex, 32 characters)."""
        body = self.to_body()
        body.pop("stream", None)
        body.pop("stream_options", None)
        return fingerprint(body)

    def with_(self, **changes: Any) -> ChatRequest:
        """Return a changed copy."""
        return replace(self, **changes)


@dataclass(frozen=True)
class EmbeddingRequest:
    """One embeddings request; ``input`` is a str, a list of them, or token ids (or lists)."""

    model: str
    input: Any
    extra: Mapping[str, Any] = field(default_factory=dict)

    kind = "embeddings"
    stream = False
    n = 1
    max_tokens = 0

    @classmethod
    def from_body(cls, body: Any) -> EmbeddingRequest:
        """Check and read a JSON body (raises `BadRequest`)."""
        if not isinstance(body, dict):
            raise BadRequest("The request body must be a JSON object")
        check_model(body)
        if not isinstance(body.get("input"), str | list) or not body["input"]:
            raise BadRequest("input must be a string or a non-empty list", param="input")
        extra = {key: value for key, value in body.items() if key not in {"model", "input"}}
        return cls(model=body["model"], input=body["input"], extra=extra)

    def to_body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"model": self.model, "input": self.input, **self.extra}

    @cached_property
    def text(self) -> str:
        """The text to embed; token ids stand for four bytes each."""
        if isinstance(self.input, str):
            return self.input
        return "\n".join(item if isinstance(item, str) else dump(item) for item in self.input)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that affects the output (hex, 32 characters)."""
        return fingerprint(self.to_body())

    def with_(self, **changes: Any) -> EmbeddingRequest:
        """Return a changed copy."""
        return replace(self, **changes)


Request = ChatRequest | EmbeddingRequest
