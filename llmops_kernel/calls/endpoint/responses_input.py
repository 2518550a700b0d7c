"""The input items of the Responses API, as chat messages."""

from __future__ import annotations

from typing import Any

from llmops_kernel.errors import BadRequest

_ROLES = ("user", "assistant", "system", "developer")


def read_input(instructions: str | None, given: Any) -> list[dict[str, Any]]:
    """Return the messages of an ``input`` (a string or a list of items).

    Reasoning items are left out: they are notes of the provider to itself, which chat completions
    cannot take back.

    Raises:
        BadRequest: An item cannot be told as a message.
    """
    messages: list[dict[str, Any]] = []
    if instructions:
        messages.append({"role": "system", "content": instructions})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadRequest("input must be a string or a non-empty list", param="input")
    for index, item in enumerate(given):
        place = f"input[{index}]"
        if not isinstance(item, dict):
            raise BadRequest("Each input item must be an object", param=place)
        _add(messages, item, place)
    if not messages:
        raise BadRequest("input has no message", param="input")
    return messages


def _add(messages: list[dict[str, Any]], item: dict[str, Any], place: str) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        _add_message(messages, item, place)
    elif kind == "function_call":
        _add_call(messages, item, place)
    elif kind == "function_call_output":
        content = item.get("output")
        if not isinstance(content, str):
            content = _text_of(content, f"{place}.output")
        call_id = _string(item, "call_id", place)
        messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
    elif kind != "reasoning":
        raise BadRequest(
            f"Input items of type {str(kind)[:40]!r} are not supported at this endpoint",
            param=f"{place}.type",
            hint="Send messages, function calls and their outputs",
        )


def _add_message(messages: list[dict[str, Any]], item: dict[str, Any], place: str) -> None:
    role = item.get("role")
    if role not in _ROLES:
        raise BadRequest(f"role must be one of {', '.join(_ROLES)}", param=f"{place}.role")
    content = _content(item.get("content"), role, f"{place}.content")
    last = messages[-1] if messages else {}
    if role == "assistant" and last.get("tool_calls") and last["content"] is None:
        last["content"] = content  # text that came with the calls: one message in chat's terms
        return
    messages.append({"role": role, "content": content})


def _add_call(messages: list[dict[str, Any]], item: dict[str, Any], place: str) -> None:
    call = {
        "id": _string(item, "call_id", place),
        "type": "function",
        "function": {
            "name": _string(item, "name", place),
            "arguments": _string(item, "arguments", place),
        },
    }
    # Calls of one turn are one message in chat's terms, together with the text before them.
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _content(given: Any, role: str, place: str) -> Any:
    if isinstance(given, str):
        return given
    if not isinstance(given, list) or not all(isinstance(part, dict) for part in given):
        raise BadRequest("content must be a string or a list of parts", param=place)
    if role != "user":  # many servers take text only in these roles
        return _text_of(given, place)
    parts = [_part(part, f"{place}[{index}]") for index, part in enumerate(given)]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _part(part: dict[str, Any], place: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in {"input_text", "output_text", "text"}:
        return {"type": "text", "text": _string(part, "text", place)}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        image = {"url": part["image_url"]}
        if isinstance(part.get("detail"), str):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    raise BadRequest(
        f"Content parts of type {str(kind)[:40]!r} are not supported at this endpoint",
        param=f"{place}.type",
        hint="Send text, or images by image_url (files cannot be metered)",
    )


def _text_of(parts: Any, place: str) -> str:
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise BadRequest("It must be a string or a list of parts", param=place)
    texts = []
    for index, part in enumerate(parts):
        if part.get("type") == "refusal":
            texts.append(_string(part, "refusal", f"{place}[{index}]"))
            continue
        read = _part(part, f"{place}[{index}]")
        if read["type"] != "text":
            raise BadRequest("Only text is possible here", param=f"{place}[{index}].type")
        texts.append(read["text"])
    return "".join(texts)


def _string(item: dict[str, Any], name: str, place: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a string", param=f"{place}.{name}")
    return value
