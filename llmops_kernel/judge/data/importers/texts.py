"""Texts out of what traces keep: strings, chat messages, or a framework's own objects as JSON."""

from __future__ import annotations

import json
from typing import Any

from llmops_kernel.judge.data.problems import WrongRow
from llmops_kernel.judge.data.rows import parse

_ASKED = ("user_input", "question", "query", "input", "prompt", "message", "text")
_ANSWERED = ("response", "answer", "output", "result", "completion", "content", "text", "message")
_TEXT = ("content", "page_content", "text", "document.content", "document.page_content")
_NAME = ("id", "document.id", "chunk_id", "doc_id", "node_id", "source")
_MOST_DEPTH = 6


def decoded(value: Any) -> Any:
    """Return what a JSON text holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return parse(value)
        except WrongRow:
            return value
    return value


def asked(value: Any) -> str:
    """Return the question in what a trace was given; "" where there is none."""
    return _text(decoded(value), _ASKED, role="user")


def answered(value: Any) -> str:
    """Return the answer in what a trace gave back; "" where there is none."""
    return _text(decoded(value), _ANSWERED, role="assistant")


def passages(value: Any) -> list[tuple[str, str]]:
    """Return id and text of each passage that a retrieval gave back; ids may be "".

    Takes texts, documents of LangChain and LlamaIndex, OpenInference's ``document.content``, and
    lists of them below ``documents``, ``nodes``, ``results`` or ``matches``.
    """
    value = decoded(value)
    if isinstance(value, dict):
        for name in ("documents", "nodes", "source_nodes", "results", "matches", "output", "data"):
            if isinstance(decoded(value.get(name)), list):
                return passages(value[name])
        value = [value]
    found = []
    for each in value if isinstance(value, list) else []:
        entry = each
        for name in ("document", "node", "payload"):
            if isinstance(entry, dict) and isinstance(entry.get(name), dict):
                entry = {**entry, **entry[name]}
        if isinstance(entry, str):
            found.append(("", entry))
        elif isinstance(entry, dict):
            text = next((entry[n] for n in _TEXT if isinstance(entry.get(n), str)), "")
            name = next((entry[n] for n in _NAME if isinstance(entry.get(n), str | int)), "")
            if text.strip():
                found.append((str(name), text))
    return found


def _text(value: Any, keys: tuple[str, ...], *, role: str, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > _MOST_DEPTH:
        return ""
    if isinstance(value, list):
        return _of_messages(value, keys, role, depth)
    if not isinstance(value, dict):
        return "" if value is None else json.dumps(value)
    for name in ("messages", "choices"):
        if isinstance(value.get(name), list) and (
            text := _text(value[name], keys, role=role, depth=depth + 1)
        ):
            return text
    for name in (*keys, "value", "parts"):
        if name in value and (text := _text(value[name], keys, role=role, depth=depth + 1)):
            return text
    if isinstance(value.get("content"), str | list):
        return _text(value["content"], keys, role=role, depth=depth + 1)
    single = [each for each in value.values() if isinstance(each, str)]
    return single[0] if len(single) == len(value) == 1 else ""


def _of_messages(values: list[Any], keys: tuple[str, ...], role: str, depth: int) -> str:
    """Return the last message of a role, or the texts of a message's parts."""
    roles = [each.get("role") if isinstance(each, dict) else None for each in values]
    if any(roles):
        wanted = [each for each, said in zip(values, roles, strict=True) if said == role]
        content = wanted[-1].get("content", wanted[-1].get("parts")) if wanted else None
        return _text(content, keys, role=role, depth=depth + 1) if content is not None else ""
    texts = [_text(each, (*keys, "content"), role=role, depth=depth + 1) for each in values]
    return "\n".join(text for text in texts if text)
