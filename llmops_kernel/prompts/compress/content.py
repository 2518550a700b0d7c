"""Where text stands in messages, and which part of it is the question."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import Message, message_text
from llmops_kernel.calls.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Messages = tuple[Message, ...]

_PER_MESSAGE = 4
_TELLING = ("system", "developer")
_READ = ("system", "developer", "user", "tool")
_LONG = 100  # tokens from which on a prompt is more than its question


def tokens_of(messages: Sequence[Message]) -> int:
    """Return about how many tokens messages have, by the door's own estimate."""
    return sum(_counted(message_text(each)) + _PER_MESSAGE for each in messages)


@lru_cache(maxsize=128)
def _counted(text: str) -> int:
    return count_tokens(text)  # each step asks for the same texts again


def text_of(messages: Sequence[Message]) -> str:
    """Return messages as one text for people, each under its role when there are several."""
    if len(messages) == 1:
        return message_text(messages[0])
    return "\n\n".join(f"[{each.get('role')}]\n{message_text(each)}" for each in messages)


def map_system(messages: Messages, change: Callable[[str], str]) -> Messages:
    """Change the texts of system messages; examples stay as they are."""
    return tuple(
        _changed(each, change) if each.get("role") in _TELLING else each for each in messages
    )


def map_context(messages: Messages, question: str, change: Callable[[str], str]) -> Messages:
    """Change what stands around the question; the question and the model's own turns stay."""

    def around(text: str) -> str:
        before, asked, after = split_question(text, question)
        return f"{_in_place(before, change)}{asked}{_in_place(after, change)}"

    return tuple(_changed(each, around) if each.get("role") in _READ else each for each in messages)


def split_question(text: str, question: str) -> tuple[str, str, str]:
    """Return what stands before the question, the question, and what follows it.

    The last place counts, and what stands on its line ("Question: ...") belongs to it. Where the
    question is not in the text, all of it is "before".
    """
    asked = question.strip()
    at = text.rfind(asked) if asked else -1
    if at < 0:
        return text, "", ""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at + len(asked))
    end = len(text) if end < 0 else end
    return text[:start], text[start:end], text[end:]


def find_question(prompt: str) -> str:
    """Return the part of a prompt that asks: the last or first paragraph that ends in "?".

    A short prompt is all question; in a long one without such a paragraph nothing is known ("").
    """
    if count_tokens(prompt) <= _LONG:
        return prompt
    paragraphs = [each.strip() for each in prompt.split("\n\n") if each.strip()]
    for each in (paragraphs[-1], paragraphs[0]):
        if each.endswith("?") and count_tokens(each) <= _LONG:
            return each
    return ""


def _in_place(text: str, change: Callable[[str], str]) -> str:
    """Change a text but not the blank space at its ends, which parts it from the question."""
    bare = text.strip()
    if not bare:
        return text
    start = text.index(bare)
    return f"{text[:start]}{change(bare)}{text[start + len(bare) :]}"


def _changed(message: Message, change: Callable[[str], str]) -> Message:
    content = message.get("content")
    if isinstance(content, str):
        new: Any = change(content)
    elif isinstance(content, list):
        new = [_part(part, change) for part in content]
    else:
        return message
    return message if new == content else {**message, "content": new}


def _part(part: Any, change: Callable[[str], str]) -> Any:
    text = part.get("text") if isinstance(part, Mapping) else None
    return {**part, "text": change(text)} if isinstance(text, str) else part
