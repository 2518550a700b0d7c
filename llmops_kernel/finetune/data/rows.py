"""A row to train on, in the one form that all others become."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One example.

    Attributes:
        line: Where it stands in its source, from 1.
        messages: A chat that ends in an assistant's message; empty for plain text.
        prompt: Plain text before the completion.
        completion: Plain text to learn.
        group: Rows of one group stay on one side of the split; "" for none.
        label: The class, for ``task: classify``.
    """

    line: int
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    completion: str = ""
    group: str = ""
    label: str = ""

    @property
    def id(self) -> str:
        """The line, as a name."""
        return str(self.line)

    @property
    def question(self) -> str:
        """What is asked: all but the assistant's messages."""
        if self.messages:
            return "\n".join(_text(m) for m in self.messages if m["role"] == "user")
        return self.prompt

    @property
    def answer(self) -> str:
        """What is learnt."""
        if self.messages:
            return "\n".join(_text(m) for m in self.messages if m["role"] == "assistant")
        return self.completion

    @property
    def text(self) -> str:
        """Everything, for scans and comparisons."""
        if self.messages:
            return "\n".join(f"{m['role']}: {_text(m)}" for m in self.messages)
        return f"{self.prompt}\n{self.completion}"

    def plain(self) -> dict[str, Any]:
        """Return the row as it is written."""
        if self.messages:
            return {"messages": list(self.messages)}
        return {"prompt": self.prompt, "completion": self.completion}

    def texts(self) -> Iterator[str]:
        """Yield every text that is written, down to the arguments of tool calls."""
        yield from (self.prompt, self.completion)
        for message in self.messages:
            yield from _leaves(_fields(message))

    def with_texts(self, change: Callable[[str], str]) -> Row:
        """Return a row with every text changed by a function, arguments of tool calls included.

        What the function changes of a number becomes a text.
        """
        return replace(
            self,
            messages=tuple({**m, **_changed(_fields(m), change)} for m in self.messages),
            prompt=change(self.prompt),
            completion=change(self.completion),
            label=change(self.label),
        )


def _text(message: Message) -> str:
    text = str(message.get("content") or "")
    calls = message.get("tool_calls")
    return f"{text}{json.dumps(calls, ensure_ascii=False, sort_keys=True)}" if calls else text


def _fields(message: Message) -> Message:
    """Return what a message says; its role is one of ours."""
    return {key: value for key, value in message.items() if key != "role"}


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from _leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    elif (inner := _within(value)) is not None:
        yield from _leaves(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {change(str(key)): _changed(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(each, change) for each in value]
    if (inner := _within(value)) is not None:
        made = _changed(inner, change)
        return value if made == inner else json.dumps(made, ensure_ascii=False)
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    made = change(text)
    return value if made == text else made


def _within(value: Any) -> Any:
    """Return what a text of JSON holds, as the arguments of tool calls are; None for other texts.

    It is changed as JSON, so that it stays some: a number that becomes a text needs quotes, and
    what is escaped is not found from outside.
    """
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None
