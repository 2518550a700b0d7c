"""The event stream of the Responses API, from chat chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.endpoint.responses_reply import (
    ResponseShape,
    call_item,
    message_item,
    new_id,
    text_part,
)
from llmops_kernel.calls.wire import encode

if TYPE_CHECKING:
    from llmops_kernel.calls.reply import Chunk, Ending, Reply
    from llmops_kernel.errors import LLMOpsError


class ResponseEvents:
    """Tells a chat stream in the events of the Responses API.

    Items stay open until the stream ends, as chat chunks do not say when one is complete.

    Args:
        shape: Builds the response objects.
    """

    def __init__(self, shape: ResponseShape) -> None:
        self._shape = shape
        self._number = 0
        self._begun = False
        self._finish_reason: str | None = None
        self._items: list[_Message | _Call] = []
        self._message: _Message | None = None
        self._calls: dict[int, _Call] = {}

    def begin(self) -> bytes:
        """Return nothing yet: the first events name the model, which the first chunk tells."""
        return b""

    def chunk(self, chunk: Chunk) -> bytes:
        """Return the events of a chunk."""
        events: list[dict[str, Any]] = []
        if not self._begun:
            self._begun = True
            for kind in ("response.created", "response.in_progress"):
                begun = self._shape.begun(chunk.get("model") or "")
                events.append({"type": kind, "response": begun})
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue  # this API has one answer per response
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            delta = choice.get("delta") or {}
            for field, kind in (("content", "output_text"), ("refusal", "refusal")):
                if isinstance(text := delta.get(field), str) and text:
                    events.extend(self._open_message().add(kind, text))
            for part in delta.get("tool_calls") or ():
                events.extend(self._add_call(part))
        return self._written(events)

    def end(self, final: Reply, ending: Ending) -> bytes:
        """Return the events that complete every item, and the response."""
        reason = "length" if ending == "cut" else self._finish_reason
        events: list[dict[str, Any]] = []
        if not self._items:  # an answer without a word is an empty message
            events.extend(self._open_message().add("output_text", ""))
        response = self._shape.finished(final, [], reason)
        status = response["status"]
        for item in self._items:
            events.extend(item.done(status))
        response["output"] = [item.item(status) for item in self._items]
        events.append({"type": f"response.{status}", "response": response})
        return self._written(events)

    def error(self, error: LLMOpsError) -> bytes:
        """Return an error event; its ``error`` field is what OpenAI's clients raise."""
        body = error.body()["error"]
        told = {"code": body["code"], "message": body["message"], "param": body["param"]}
        return self._written([{"type": "error", **told, "error": body}])

    def _open_message(self) -> _Message:
        if self._message is None:
            self._message = _Message(len(self._items))
            self._items.append(self._message)
        return self._message

    def _add_call(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        index = part.get("index", 0)
        call = self._calls.get(index)
        if call is None:
            call = self._calls[index] = _Call(len(self._items))
            self._items.append(call)
        return call.add(part)

    def _written(self, events: list[dict[str, Any]]) -> bytes:
        parts = []
        for event in events:
            event["sequence_number"] = self._number
            self._number += 1
            parts.append(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encode(event)))
        return b"".join(parts)


class _Message:
    """A message that is being written."""

    def __init__(self, output_index: int) -> None:
        self._place: dict[str, Any] = {"item_id": new_id("msg"), "output_index": output_index}
        self._parts: dict[str, list[str]] = {}  # by kind, in order of their content index

    def add(self, kind: str, text: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        if not self._parts:
            added = message_item(self._place["item_id"], "in_progress", [])
            events.append(_item_event("added", self._place, added))
        if kind not in self._parts:
            self._parts[kind] = []
            part = text_part(kind)
            events.append({"type": "response.content_part.added", **self._at(kind), "part": part})
        if text:
            self._parts[kind].append(text)
            delta = {"type": f"response.{kind}.delta", **self._at(kind), "delta": text}
            events.append({**delta, "logprobs": []} if kind == "output_text" else delta)
        return events

    def done(self, status: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for kind, texts in self._parts.items():
            text = "".join(texts)
            done = {"type": f"response.{kind}.done", **self._at(kind)}
            if kind == "output_text":
                events.append({**done, "text": text, "logprobs": []})
            else:
                events.append({**done, "refusal": text})
            part = text_part(kind, text)
            events.append({"type": "response.content_part.done", **self._at(kind), "part": part})
        return [*events, _item_event("done", self._place, self.item(status))]

    def item(self, status: str) -> dict[str, Any]:
        content = [text_part(kind, "".join(texts)) for kind, texts in self._parts.items()]
        return message_item(self._place["item_id"], status, content)

    def _at(self, kind: str) -> dict[str, Any]:
        return {**self._place, "content_index": list(self._parts).index(kind)}


class _Call:
    """A function call that is being written."""

    def __init__(self, output_index: int) -> None:
        self._place: dict[str, Any] = {"item_id": new_id("fc"), "output_index": output_index}
        self._call: dict[str, Any] = {}
        self._arguments: list[str] = []

    def add(self, part: dict[str, Any]) -> list[dict[str, Any]]:
        function = part.get("function") or {}
        events: list[dict[str, Any]] = []
        if not self._call:
            self._call = {
                "call_id": part.get("id") or new_id("call"),
                "name": function.get("name") or "",
            }
            added = call_item(
                self._place["item_id"], "in_progress", {**self._call, "arguments": ""}
            )
            events.append(_item_event("added", self._place, added))
        if text := function.get("arguments"):
            self._arguments.append(text)
            kind = "response.function_call_arguments.delta"
            events.append({"type": kind, **self._place, "delta": text})
        return events

    def done(self, status: str) -> list[dict[str, Any]]:
        done = {
            "type": "response.function_call_arguments.done",
            **self._place,
            "name": self._call["name"],
            "arguments": "".join(self._arguments),
        }
        return [done, _item_event("done", self._place, self.item(status))]

    def item(self, status: str) -> dict[str, Any]:
        told = {**self._call, "arguments": "".join(self._arguments)}
        return call_item(self._place["item_id"], status, told)


def _item_event(what: str, place: dict[str, Any], item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": f"response.output_item.{what}",
        "output_index": place["output_index"],
        "item": item,
    }
