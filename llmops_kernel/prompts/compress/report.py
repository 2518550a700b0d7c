"""What a compressor made, and what each of its steps did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.messages import Message, dump, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

# From this many tokens on providers keep a prefix (OpenAI; Anthropic from 1,024 to 4,096).
CACHEABLE = 1_024


@dataclass(frozen=True, slots=True)
class StepReport:
    """What one step did.

    Attributes:
        step: Its name.
        scope: "prefix" or "context".
        before: Tokens before it.
        after: Tokens after it.
    """

    step: str
    scope: str
    before: int
    after: int

    @property
    def saved(self) -> int:
        """Tokens it saved; below 0 for rows that come with a question."""
        return self.before - self.after


@dataclass(frozen=True, slots=True)
class Compressed:
    """Messages that were made shorter.

    Attributes:
        messages: What is sent.
        before: Tokens of what was given.
        after: Tokens of what is sent.
        steps: What each step did, in order.
        stable: How many messages at the front are the stable prefix.
        stable_tokens: Tokens of the stable prefix.
        to: Tokens that were aimed at; None for no aim.
    """

    messages: tuple[Message, ...]
    before: int
    after: int
    steps: tuple[StepReport, ...]
    stable: int
    stable_tokens: int
    to: int | None = None

    @property
    def saved(self) -> int:
        """Tokens saved."""
        return self.before - self.after

    @property
    def share(self) -> float:
        """Share of the tokens that was saved, 0..1."""
        return self.saved / self.before if self.before else 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        told = []
        if self.to is not None and self.after > self.to:
            told.append("What is protected takes more tokens than were aimed at")
        touched = any(each.scope == "prefix" and each.saved for each in self.steps)
        if touched and self.stable_tokens < CACHEABLE:
            told.append(
                f"The stable prefix is below {CACHEABLE:,} tokens now, which providers' prompt "
                "caches ask for"
            )
        return tuple(told)

    @property
    def stable_hash(self) -> str:
        """Hash of the stable prefix (hex, 32 characters): equal from call to call."""
        return fingerprint([dump(each) for each in self.messages[: self.stable]])

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain data, without the messages."""
        return {
            "before": self.before,
            "after": self.after,
            "saved": self.saved,
            "share": self.share,
            "to": self.to,
            "stable_messages": self.stable,
            "stable_tokens": self.stable_tokens,
            "stable_hash": self.stable_hash,
            "steps": [asdict(each) | {"saved": each.saved} for each in self.steps],
            "notes": list(self.notes),
        }


def summed(steps: Sequence[StepReport]) -> dict[str, int]:
    """Return the tokens that steps saved, by name, prefix and context together."""
    total: dict[str, int] = {}
    for each in steps:
        total[each.step] = total.get(each.step, 0) + each.saved
    return total
