"""A compressor: steps for the stable prefix, and steps for what follows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import dump, message_text
from llmops_kernel.errors import UsageProblem
from llmops_kernel.prompts.compress.content import (
    Messages,
    find_question,
    map_context,
    map_system,
    tokens_of,
)
from llmops_kernel.prompts.compress.protect import unmarked
from llmops_kernel.prompts.compress.report import Compressed, StepReport
from llmops_kernel.prompts.compress.steps import Blank, Duplicates, Json, Select
from llmops_kernel.prompts.compress.tables import find_rows, move_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls.messages import Message
    from llmops_kernel.prompts.compress.ranking import Rank
    from llmops_kernel.prompts.compress.steps import Step
    from llmops_kernel.prompts.compress.tables import TablePassage

_PLAIN: tuple[Step, ...] = (Json(), Duplicates(), Blank())
_LEAST_ROOM = 1
_PREPARED = 64  # prefixes that are remembered


@dataclass(frozen=True)
class Compressor:
    """Makes prompts shorter, the same way every time.

    Messages are the *stable prefix* (system text, examples, earlier turns), which providers keep in
    a prompt cache, and what follows it. Steps for the prefix never see the question, so the prefix
    is byte-equal from call to call; steps that do see it touch only what follows. The question
    itself, examples and the model's own turns are never changed. A step that would lengthen the
    prompt is undone. ``<keep>`` marks are honoured and then taken out.

    Attributes:
        to: Tokens that the whole prompt should have; the context around the question gives way,
            sentence by sentence. None: nothing is dropped but repetition and blank space.
        tables: Whether static tables are moved out of the system prompt, and each question gets
            the rows it needs.
        keep_tables: Headings of tables that stay where they are.
        row_tokens: Tokens of such rows at most, with their headings.
        prefix: Steps for the stable prefix; empty leaves it alone.
        tail: Steps for what follows, before sentences are selected.
        rank: Scores sentences against the question (default: BM25).
        row_rank: Scores rows of tables, whose few words seldom are the question's (default: BM25).

    Raises:
        UsageProblem: A number is out of bounds.
    """

    to: int | None = None
    tables: bool = False
    keep_tables: tuple[str, ...] = ()
    row_tokens: int = 400
    prefix: tuple[Step, ...] = _PLAIN
    tail: tuple[Step, ...] = _PLAIN
    rank: Rank | None = None
    row_rank: Rank | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in (("to", self.to), ("row_tokens", self.row_tokens)):
            if value is not None and (not isinstance(value, int) or value < _LEAST_ROOM):
                raise UsageProblem(f"A compressor's {name} is a whole number of tokens, at least 1")

    @classmethod
    def of(cls, given: Any) -> Compressor | None:
        """Return the compressor that True, a number of tokens, or a compressor stands for.

        Raises:
            UsageProblem: It is something else.
        """
        if given is None or given is False:
            return None
        if given is True:
            return cls()
        if isinstance(given, int):
            return cls(to=given)
        if isinstance(given, Compressor):
            return given
        raise UsageProblem(
            "compress takes True, a number of tokens or a Compressor",
            detail=f"got {type(given).__name__}",
        )

    def compress(
        self, messages: Sequence[Message], question: str | None = None, *, stable: int | None = None
    ) -> Compressed:
        """Return the messages, shorter, with what each step did.

        Args:
            messages: In OpenAI's form.
            question: What is asked, as it stands in the last message; None looks for it there. With
                "" or where none is found, no sentence is selected away. Where it is given in other
                words than the last message's, that message is left alone.
            stable: How many messages at the front are the stable prefix (default: all but the
                last).

        Raises:
            UsageProblem: There are no messages, or fewer than ``stable``.
        """
        whole = tuple(messages)
        cut = len(whole) - 1 if stable is None else stable
        if not whole or not 0 <= cut <= len(whole):
            raise UsageProblem("There is nothing to compress", hint="Give at least one message")
        front, back = whole[:cut], whole[cut:]
        asked = _question_of(back) if question is None else question
        prepared, moved, reports = self._prepared(front)
        # Behind the prefix every message is somebody's words around the question: without one,
        # a name that occurs nowhere makes all of them context.
        last = back[-1:] if asked and back and asked.strip() not in message_text(back[-1]) else ()
        behind = _Track(back[: len(back) - len(last)], asked or "\0", "context", reports)
        for step in self.tail:
            behind.run(step)
        if moved:
            # A question that was not found is somewhere in the last message.
            about = asked or (message_text(back[-1]) if back else "")
            behind.messages = self._with_rows(behind, prepared, front, moved, about)
        if self.to is not None and asked:
            room = max(self.to - tokens_of(prepared) - tokens_of(last), 0)
            behind.run(Select(room, self.rank))
        done = map_system(prepared, unmarked) + map_context(behind.messages, "", unmarked) + last
        return Compressed(
            messages=done,
            before=tokens_of(whole),
            after=tokens_of(done),
            steps=tuple(behind.reports),
            stable=len(prepared),
            stable_tokens=tokens_of(done[: len(prepared)]),
            to=self.to,
        )

    def _prepared(
        self, front: Messages
    ) -> tuple[Messages, tuple[TablePassage, ...], list[StepReport]]:
        try:
            made = _prepare(self, dump(list(front)))
        except TypeError:  # a step that cannot be hashed
            made = _prepare.__wrapped__(self, dump(list(front)))
        text, moved, reports = made
        after = tuple(json.loads(text))
        # The very messages where nothing changed: JSON may not hold all that a caller put in.
        same = tuple(
            old if dump(old) == dump(new) else new for old, new in zip(front, after, strict=True)
        )
        return same, moved, list(reports)

    def _with_rows(
        self,
        behind: _Track,
        prepared: Messages,
        front: Messages,
        moved: tuple[TablePassage, ...],
        question: str,
    ) -> Messages:
        """Put the rows a question needs in front of it, in a message of their own."""
        saved = tokens_of(front) - tokens_of(prepared)
        rows = find_rows(
            moved, question, budget=min(self.row_tokens, saved - 8), rank=self.row_rank
        )
        before = tokens_of(behind.messages)
        told = ({"role": "system", "content": rows}, *behind.messages) if rows else behind.messages
        behind.reports.append(StepReport("rows of tables", "context", before, tokens_of(told)))
        return told


class _Track:
    """Messages on their way through the steps."""

    def __init__(
        self, messages: Messages, question: str, scope: str, reports: list[StepReport]
    ) -> None:
        self.messages = messages
        self.question = question
        self.scope = scope
        self.reports = reports

    def run(self, step: Step) -> None:
        """Take a step, or leave it where it would lengthen."""
        before = tokens_of(self.messages)
        made = tuple(step(self.messages, self.question))
        after = tokens_of(made)
        if after > before:
            made, after = self.messages, before
        self.messages = made
        self.reports.append(StepReport(step.name, self.scope, before, after))


@lru_cache(maxsize=_PREPARED)
def _prepare(
    compressor: Compressor, front: str
) -> tuple[str, tuple[TablePassage, ...], tuple[StepReport, ...]]:
    """Take the steps of the stable prefix, once for all questions."""
    track = _Track(tuple(json.loads(front)), "", "prefix", [])
    moved: tuple[TablePassage, ...] = ()
    if compressor.tables:
        found: list[TablePassage] = []

        def without(text: str) -> str:
            rest, tables = move_tables(text, compressor.keep_tables)
            found.extend(tables)
            return rest

        before = tokens_of(track.messages)
        made = map_system(track.messages, without)
        if tokens_of(made) < before:
            track.messages, moved = made, tuple(found)
            track.reports.append(StepReport("tables moved out", "prefix", before, tokens_of(made)))
    for step in compressor.prefix:
        track.run(step)
    return dump(list(track.messages)), moved, tuple(track.reports)


def _question_of(back: Messages) -> str:
    if not back or back[-1].get("role") != "user":
        return ""
    content = back[-1].get("content")
    return find_question(content) if isinstance(content, str) else ""
