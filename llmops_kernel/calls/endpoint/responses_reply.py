"""Response objects of the Responses API, from chat replies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    from llmops_kernel.calls.reply import Reply

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def new_id(prefix: str) -> str:
    """Return a fresh id in OpenAI's manner (``msg_...``)."""
    return f"{prefix}_{uuid4().hex}"


class ResponseShape:
    """Builds the response objects of one request; all of them have the same id.

    Args:
        echo: Fields of the request that the response repeats.
    """

    def __init__(self, echo: dict[str, Any]) -> None:
        self._echo = echo
        self._id = new_id("resp")
        self._created = int(time.time())

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return the finished response of a whole reply."""
        status = "incomplete" if reply.finish_reason in _INCOMPLETE else "completed"
        message = (reply.choices[0].get("message") or {}) if reply.choices else {}
        return self.finished(reply, _items(message, status), reply.finish_reason)

    def begun(self, model: str) -> dict[str, Any]:
        """Return the response as it is before any output."""
        return self._object(model, "in_progress", [])

    def finished(
        self, reply: Reply, output: list[dict[str, Any]], finish_reason: str | None
    ) -> dict[str, Any]:
        """Return the response with all its output.

        Args:
            reply: Where model, usage and figures come from.
            output: The output items.
            finish_reason: Why the model stopped, in chat's terms.
        """
        reason = _INCOMPLETE.get(finish_reason or "")
        body = self._object(reply.model, "incomplete" if reason else "completed", output)
        body["incomplete_details"] = {"reason": reason} if reason else None
        body["usage"] = _usage(reply.usage or Usage())
        body["llmops"] = reply.body()["llmops"]
        return body

    def _object(self, model: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": output,
            "usage": None,
            **self._echo,
        }


def text_part(kind: str, text: str = "") -> dict[str, Any]:
    """Return a content part: ``output_text`` or ``refusal``."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(item_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an output item that is a message."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def call_item(item_id: str, status: str, call: dict[str, Any]) -> dict[str, Any]:
    """Return an output item that calls a function (``call``: call_id, name, arguments)."""
    return {"id": item_id, "type": "function_call", "status": status, **call}


def _items(message: dict[str, Any], status: str) -> list[dict[str, Any]]:
    content = [
        text_part(kind, message[field])
        for field, kind in (("content", "output_text"), ("refusal", "refusal"))
        if isinstance(message.get(field), str) and message[field]
    ]
    items = [message_item(new_id("msg"), status, content)] if content else []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        told = {
            "call_id": call.get("id") or new_id("call"),
            "name": function.get("name") or "",
            "arguments": function.get("arguments") or "",
        }
        items.append(call_item(new_id("fc"), status, told))
    return items or [message_item(new_id("msg"), status, [text_part("output_text")])]


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
