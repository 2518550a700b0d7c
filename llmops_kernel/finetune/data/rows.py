"""A row to train on, in the one form that all others become."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

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

    def with_texts(self, change: Any) -> Row:
        """Return a row with every text changed by a function."""
        if self.messages:
            return replace(self, messages=tuple(_changed(m, change) for m in self.messages))
        return replace(self, prompt=change(self.prompt), completion=change(self.completion))


def _text(message: Message) -> str:
    text = str(message.get("content") or "")
    calls = message.get("tool_calls")
    return f"{text}{json.dumps(calls, ensure_ascii=False, sort_keys=True)}" if calls else text


def _changed(message: Message, change: Any) -> Message:
    return {**message, "content": change(str(message.get("content") or ""))}
