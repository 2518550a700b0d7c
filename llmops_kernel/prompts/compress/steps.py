"""The steps that a compressor is made of.

A step takes messages and the question and returns messages. Steps for the stable prefix are called
without a question: what they do is the same for every one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from llmops_kernel.calls.tokens import count_tokens
from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts.compress.content import (
    Messages,
    map_context,
    map_system,
    tokens_of,
)
from llmops_kernel.prompts.compress.duplicates import Repeats
from llmops_kernel.prompts.compress.minify import minify_blank, minify_json
from llmops_kernel.prompts.compress.packing import pack_documents
from llmops_kernel.prompts.compress.plugin import plugged
from llmops_kernel.prompts.compress.select import select_sentences

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmops_kernel.prompts.compress.packing import Order
    from llmops_kernel.prompts.compress.plugin import Plugin
    from llmops_kernel.prompts.compress.ranking import Rank


_TRIES = 4


class Step(Protocol):
    """One way to make messages shorter."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def __call__(self, messages: Messages, question: str) -> Messages:
        """Return the messages, shorter or as they were.

        Args:
            messages: The stable prefix (then only system texts may change), or what follows it.
            question: What is asked; "" in the prefix.
        """
        ...


def _mapped(messages: Messages, question: str, change: Callable[[str], str]) -> Messages:
    """Change system texts in the prefix, and what stands around the question behind it."""
    if question:
        return map_context(messages, question, change)
    return map_system(messages, change)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Leaves out rules and sentences that were said before."""

    name: str = "duplicates"

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`."""
        return _mapped(messages, question, Repeats().without)


@dataclass(frozen=True, slots=True)
class Blank:
    """Leaves out blank space that says nothing."""

    name: str = "blank space"

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`."""
        return _mapped(messages, question, minify_blank)


@dataclass(frozen=True, slots=True)
class Json:
    """Writes JSON compactly."""

    name: str = "JSON"

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`."""
        return _mapped(messages, question, minify_json)


@dataclass(frozen=True, slots=True)
class Pack:
    """Keeps the numbered documents that fit, the best at both ends.

    Attributes:
        budget: Tokens of documents.
        order: "edges" or "best_first".
    """

    budget: int
    order: Order = "edges"
    name: str = "packing"

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`."""
        return _mapped(
            messages, question, lambda text: pack_documents(text, self.budget, order=self.order)
        )


@dataclass(frozen=True, slots=True)
class Select:
    """Keeps the sentences around the question that matter to it.

    Attributes:
        budget: Tokens of all messages that the step is given.
        rank: Scores sentences against the question (default: BM25).
    """

    budget: int
    rank: Rank | None = None
    name: str = "selection"

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`. Longer contexts give more, each in proportion to its length."""
        total = tokens_of(messages)
        if not question or total <= self.budget:
            return messages
        sizes: list[int] = []

        def measured(text: str) -> str:
            sizes.append(count_tokens(text))
            return text

        map_context(messages, question, measured)
        room = self.budget - (total - sum(sizes))
        made = messages
        for _ in range(_TRIES):
            made = self._selected(messages, question, max(room, 0) / max(sum(sizes), 1))
            over = tokens_of(made) - self.budget
            if over <= 0 or room <= 0:
                break
            room -= over  # tokens of parts do not quite add up to those of the whole
        return made

    def _selected(self, messages: Messages, question: str, share: float) -> Messages:
        def selected(text: str) -> str:
            return select_sentences(text, question, int(count_tokens(text) * share), rank=self.rank)

        return map_context(messages, question, selected)


@dataclass(frozen=True, slots=True)
class Plugged:
    """Shortens what stands around the question by somebody else's compressor.

    Attributes:
        plugin: The compressor.
        rate: Share of the tokens it is to leave (0..1).

    Raises:
        UsageProblem: The rate is out of bounds.
    """

    plugin: Plugin
    rate: float = 0.5
    name: str = "plug-in"

    def __post_init__(self) -> None:
        """Check the rate."""
        if not 0 < self.rate <= 1:
            raise UsageProblem("A compressor's rate lies above 0 and is at most 1")

    def __call__(self, messages: Messages, question: str) -> Messages:
        """See `Step`. The stable prefix is left alone."""
        if not question:
            return messages
        return map_context(messages, question, lambda text: plugged(text, self.plugin, self.rate))
