"""Reads the messages of a request into parts: what to do, the given text, what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmops_kernel.calls.messages import Message
    from llmops_kernel.calls.offline.reading.examples import (
        Example,
    )


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of given text, and the name it can be cited by ("" if it has none)."""

    text: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's messages, read into parts.

    Attributes:
        instruction: What the model is told to do, from system and user.
        question: What is asked or requested; the whole turn when nothing else fits.
        passages: Text that was given to answer from.
        results: What tools have answered since the person last spoke.
        memory: Statements from earlier turns, and of the person in this one.
        subject: The text that a task (classify, extract, summarise) is about.
        candidates: Answers that are to be judged.
        reference: The answer a candidate is to be compared with.
        label_text: Where allowed labels are described.
        examples: Demonstrations whose outputs are labels or JSON.
        label_head: What the outputs of examples in text stand under ("label").
        turn: The last user message as it came.
        earlier: The user message before it, for questions that lean on it.
    """

    instruction: str = ""
    question: str = ""
    passages: tuple[Passage, ...] = ()
    results: tuple[Passage, ...] = ()
    memory: tuple[Passage, ...] = ()
    subject: str = ""
    candidates: tuple[Passage, ...] = ()
    reference: str = ""
    label_text: str = ""
    examples: tuple[Example, ...] = ()
    label_head: str = ""
    turn: str = ""
    earlier: str = ""

    @property
    def given(self) -> str:
        """All given text as one string."""
        return "\n".join(passage.text for passage in self.passages)


def message_content(message: Message) -> str:
    """Return the text a person or tool wrote in a message; other kinds of parts are left out."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))
