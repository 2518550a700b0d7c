"""What a person gets for a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.usage import Usage
from llmops_kernel.display.answer import answer_view
from llmops_kernel.display.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, repr=False)
class Answer:
    """A model's answer with what it took to get it; ``str(answer)`` is the text.

    Attributes:
        text: The answer; for typed output its JSON, without fences or prose around it.
        data: Typed output (an instance of the model class, or JSON data); None for free text.
        usage: Tokens of all calls the answer took.
        usd: Dollars of all calls, in the book that ``simulated`` names.
        simulated: True when no real model answered.
        cached: True when every call came from a cache.
        model: The model's name, as the provider gave it.
        trace_id: The trace of the calls.
        finish_reason: Why the model stopped (``stop``, ``length``, ...).
        repairs: Further calls that typed output took to become valid.
        reasoning: The model's reasoning, if it was asked for or came along.
        latency_s: Seconds on a virtual clock for simulated models; None for real ones.
        footer: Whether a line with the figures is shown under the answer.
    """

    text: str
    data: Any = None
    usage: Usage = field(default_factory=Usage)
    usd: Decimal = Decimal(0)
    simulated: bool = False
    cached: bool = False
    model: str = ""
    trace_id: str = ""
    finish_reason: str | None = None
    repairs: int = 0
    reasoning: str = ""
    latency_s: float | None = None
    footer: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Answer({one_line(self.text, 72)!r})"

    def _repr_mimebundle_(
        self,
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> tuple[dict[str, str], dict[str, Any]]:
        """Return Markdown and text, and the figures as output metadata under ``llmops``."""
        return answer_view(self, footer=self.footer)._repr_mimebundle_(include, exclude)
