"""Rows as tokens with labels: what is read, and what is learnt."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmops_kernel.finetune.layout import REFUSED
from llmops_kernel.finetune.worker.job import Ended

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
MASKED = -100  # the label that torch's cross-entropy leaves out


@dataclass(slots=True)
class Encoded:
    """Rows as tokens.

    Attributes:
        ids: Token ids of each row.
        labels: The same ids where they are learnt, and `MASKED` elsewhere.
        lengths: Tokens of each row before it was cut.
        truncated: Rows that lost tokens.
        lost_end: Rows that lost their last learnt token.
        masked: Rows with nothing left to learn; they are not among ``ids``.
        beyond: Learnt tokens that belong to a question (must be 0 unless all is learnt).
    """

    ids: list[array[int]] = field(default_factory=list)
    labels: list[array[int]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    truncated: int = 0
    lost_end: int = 0
    masked: int = 0
    beyond: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """All tokens."""
        return sum(len(each) for each in self.ids)

    @property
    def trained_tokens(self) -> int:
        """Tokens that are learnt."""
        return sum(sum(label != MASKED for label in each) for each in self.labels)


class Encoder:
    """Renders rows with a tokenizer and marks what is learnt.

    Where the chat template marks answers itself (``{% generation %}``), its marks are used, or
    those of the training template TRL knows for its family; elsewhere an answer is what a
    conversation grows by, checked to stand behind exactly what came before it.

    Args:
        tokenizer: The base's tokenizer.
        loss_on: ``assistant``, ``completion`` or ``all``.
        system: A system message for chats without one.
    """

    def __init__(self, tokenizer: Any, *, loss_on: str, system: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._loss_on = loss_on
        self._system = system
        self.template = tokenizer.chat_template
        self.marks = "none"
        if loss_on == "assistant" and self.template:
            self.template, self.marks = _training_template(tokenizer)

    def encode(self, row: dict[str, Any]) -> tuple[list[int], list[int], int]:
        """Return ids and labels of one row, and the number of tokens before the first answer.

        Raises:
            Ended: The template cannot render the row, or answers cannot be told apart.
        """
        if "messages" in row:
            return self._chat(self.messages(row))
        return self._text(row["prompt"], row["completion"])

    def messages(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a chat with the system message it should have."""
        chat: list[dict[str, Any]] = row["messages"]
        if self._system and chat[0]["role"] != "system":
            return [{"role": "system", "content": self._system}, *chat]
        return chat

    def prompt_ids(self, chat: Sequence[dict[str, Any]]) -> list[int]:
        """Return the tokens after which the model answers a conversation."""
        return self._render(chat, add_generation_prompt=True)["input_ids"]  # type: ignore[no-any-return]

    def _chat(self, chat: list[dict[str, Any]]) -> tuple[list[int], list[int], int]:
        if not self._tokenizer.chat_template:
            raise Ended(
                REFUSED, "the base has no chat template",
                hint="Name one with template.source, or use task: completion",
            )  # fmt: skip
        first = next(i for i, each in enumerate(chat) if each["role"] == "assistant")
        asked = any(each["role"] == "user" for each in chat[:first])
        before = self.prompt_ids(chat[:first]) if asked else []  # a greeting answers nobody
        if self._loss_on == "all":
            ids = self._render(chat)["input_ids"]
            return ids, list(ids), len(before)
        if self._loss_on == "assistant" and self.marks != "none":
            rendered = self._render(chat, return_assistant_tokens_mask=True)
            ids, mask = rendered["input_ids"], rendered["assistant_masks"]
        else:
            ids, mask = self._grown(chat)
        labels = [token if bit else MASKED for token, bit in zip(ids, mask, strict=True)]
        return ids, labels, common_prefix(before, ids)

    def _grown(self, chat: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
        """Mark each answer (or the last alone) as what the conversation grows by."""
        ids = self._render(chat)["input_ids"]
        mask = [0] * len(ids)
        last = len(chat) - 1
        for place, message in enumerate(chat):
            if message["role"] != "assistant" or (self._loss_on == "completion" and place != last):
                continue
            start = self.prompt_ids(chat[:place])
            end = self._render(chat[: place + 1])["input_ids"]
            if ids[: len(end)] != end or end[: len(start)] != start:
                raise Ended(
                    REFUSED, "the chat template hides where answers begin and end",
                    hint="Mark answers with {% generation %} in a template of your own "
                    "(template.source), or train on single answers (prompt-completion)",
                )  # fmt: skip
            stop = self._turn_end(ids, len(start), len(end))
            mask[len(start) : stop] = [1] * (stop - len(start))
        return ids, mask

    def _turn_end(self, ids: Sequence[int], start: int, end: int) -> int:
        """Return where an answer ends: behind its last special token, without the line break."""
        special = set(self._tokenizer.all_special_ids)
        return next((i + 1 for i in range(end - 1, start - 1, -1) if ids[i] in special), end)

    def _text(self, prompt: str, completion: str) -> tuple[list[int], list[int], int]:
        end = self._tokenizer.eos_token or ""
        if end and not completion.endswith(end):
            completion += end
        ids = self._tokenizer(prompt + completion)["input_ids"]
        before = common_prefix(self._tokenizer(prompt)["input_ids"], ids)
        if self._loss_on == "all":
            return ids, list(ids), before
        return ids, [MASKED] * before + ids[before:], before

    def _render(self, chat: Sequence[dict[str, Any]], **options: Any) -> Any:
        try:
            return self._tokenizer.apply_chat_template(
                list(chat), tokenize=True, return_dict=True, chat_template=self.template, **options
            )
        except Exception as error:  # a template may raise whatever it likes
            raise Ended(
                REFUSED, "the chat template refuses a conversation", detail=str(error)[:500],
                hint="Look at roles and their order, or name a template with template.source",
            ) from error  # fmt: skip


def encode_all(encoder: Encoder, rows: Iterable[dict[str, Any]]) -> Encoded:
    """Encode rows whole."""
    found = Encoded()
    for row in rows:
        ids, labels, before = encoder.encode(row)
        found.ids.append(array("i", ids))
        found.labels.append(array("i", labels))
        found.lengths.append(len(ids))
        found.beyond += sum(label != MASKED for label in labels[:before])
    return found


def cut(rows: Encoded, limit: int) -> Encoded:
    """Return rows of at most ``limit`` tokens, as TRL keeps their start; count what that costs."""
    kept = Encoded(lengths=rows.lengths, beyond=rows.beyond)
    for ids, labels in zip(rows.ids, rows.labels, strict=True):
        if len(ids) > limit:
            kept.truncated += 1
            kept.lost_end += any(label != MASKED for label in labels[limit:])
        if all(label == MASKED for label in labels[:limit]):
            kept.masked += 1
        else:
            kept.ids.append(ids[:limit])
            kept.labels.append(labels[:limit])
    return kept


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two sequences share at their start."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _training_template(tokenizer: Any) -> tuple[Any, str]:
    own = tokenizer.chat_template
    text = own.get("default", "") if isinstance(own, dict) else own
    if _MARKS.search(text):
        return own, "the template's own"
    try:
        from trl.chat_template_utils import get_training_chat_template

        known = get_training_chat_template(tokenizer)
    except (ImportError, ValueError):  # an older TRL, or of no family it knows
        return own, "none"
    return (own, "the template's own") if known is None else (known, "TRL's for its family")
