"""Builds a whole reply from streamed chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    from llmops_kernel.calls.reply import Chunk, Reply


class Assembler:
    """Adds up OpenAI ``chat.completion.chunk`` objects.

    Args:
        head: What is known before the first chunk; chunks overwrite id, model and creation time.
    """

    def __init__(self, head: Reply) -> None:
        self._head = head
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Usage | None = head.usage

    @property
    def finished(self) -> bool:
        """Whether every choice that began has a finish reason."""
        return bool(self._choices) and all(c["finish_reason"] for c in self._choices.values())

    def add(self, chunk: Chunk) -> None:
        """Take in one chunk; unknown delta fields are kept if they are text."""
        head = self._head
        self._head = head.with_(
            id=chunk.get("id") or head.id,
            model=chunk.get("model") or head.model,
            created=chunk.get("created") or head.created,
        )
        if chunk.get("usage"):
            self._usage = Usage.from_body(chunk["usage"], tier=chunk.get("service_tier"))
        for part in chunk.get("choices") or ():
            choice = self._choices.setdefault(
                part.get("index", 0), {"finish_reason": None, "message": {"role": "assistant"}}
            )
            if part.get("finish_reason"):
                choice["finish_reason"] = part["finish_reason"]
            _merge(choice["message"], part.get("delta") or {})

    def reply(self) -> Reply:
        """Return what has arrived so far as a whole reply."""
        choices = tuple(
            {"index": index, **choice, "message": _finish(choice["message"])}
            for index, choice in sorted(self._choices.items())
        )
        return self._head.with_(choices=choices, usage=self._usage)


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            _merge_tool_calls(message.setdefault("tool_calls", {}), value or ())
        elif key == "role":
            message["role"] = value or message["role"]
        elif isinstance(value, str):
            message[key] = (message.get(key) or "") + value
        elif value is not None:
            message[key] = value


def _merge_tool_calls(calls: dict[int, dict[str, Any]], parts: Any) -> None:
    for part in parts:
        call = calls.setdefault(
            part.get("index", 0),
            {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["id"] = part.get("id") or call["id"]
        function = part.get("function") or {}
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def _finish(message: dict[str, Any]) -> dict[str, Any]:
    whole = {"content": None, **message}
    if isinstance(calls := whole.get("tool_calls"), dict):
        whole["tool_calls"] = [call for _, call in sorted(calls.items())]
    return whole
