"""An answer: Markdown and text, the figures in metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from llmops_kernel.display.markdown import fence, literal, safe_markdown
from llmops_kernel.display.mime import View, jsonable
from llmops_kernel.display.money import dollars, seconds, tokens
from llmops_kernel.display.text import one_line, printable

if TYPE_CHECKING:
    from decimal import Decimal


class UsageLike(Protocol):
    """Token counts."""

    @property
    def input_tokens(self) -> int:
        """Tokens read."""

    @property
    def output_tokens(self) -> int:
        """Tokens written."""

    @property
    def estimated(self) -> bool:
        """Whether they were counted here because the provider did not."""


class AnswerLike(Protocol):
    """What is shown of an answer."""

    @property
    def text(self) -> str:
        """The answer."""

    @property
    def data(self) -> Any:
        """Typed output, or None."""

    @property
    def reasoning(self) -> str:
        """What was thought on the way, or ""."""

    @property
    def usage(self) -> UsageLike:
        """Tokens."""

    @property
    def usd(self) -> Decimal:
        """Dollars."""

    @property
    def simulated(self) -> bool:
        """Whether no real model answered."""

    @property
    def cached(self) -> bool:
        """Whether it came from a cache."""

    @property
    def model(self) -> str:
        """Who answered."""

    @property
    def trace_id(self) -> str:
        """Where to look it up."""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended."""

    @property
    def repairs(self) -> int:
        """Further calls typed output took."""

    @property
    def latency_s(self) -> float | None:
        """Seconds on the virtual clock, or None."""


_ENDINGS = {
    "length": "cut off at max_tokens",
    "content_filter": "cut off by the provider's content filter",
}


def answer_view(answer: AnswerLike, *, footer: bool = False) -> View:
    """Build the mime bundle of an answer.

    Typed output is shown as indented JSON. Reasoning is folded away in Markdown and left out of
    the text. That an answer was cut off is always said; figures are only shown in the footer.

    Args:
        answer: The answer.
        footer: Whether to add a line with model, tokens and dollars (off where notebooks are
            compared between runs).
    """
    if answer.data is not None:
        plain = json.dumps(jsonable(answer.data), indent=2, ensure_ascii=False)
        rich = fence(plain, "json")
    else:
        plain = printable(answer.text)
        rich = safe_markdown(answer.text)
    if answer.reasoning:
        rich = f"{_folded(answer.reasoning)}\n\n{rich}"
    if ending := _ENDINGS.get(answer.finish_reason or ""):
        plain += f"\n({ending})"
        rich += f"\n\n*({ending})*"
    if footer:
        line = footer_line(answer)
        plain += f"\n\n{line}"
        rich += f"\n\n{safe_markdown(literal(line))}"
    return View({"text/plain": plain, "text/markdown": rich}, facts(answer))


def footer_line(answer: AnswerLike) -> str:
    """Return one line such as ``gpt-4o · 312+88 tok · $0.0004 simulated``."""
    usage = answer.usage
    cost = dollars(answer.usd) + (" simulated" if answer.simulated else "")
    parts = [one_line(answer.model, 80), tokens(usage.input_tokens, usage.output_tokens), cost]
    if usage.estimated:
        parts[1] += " (estimated)"
    if answer.latency_s is not None:
        parts.append(f"{seconds(answer.latency_s)} virtual")
    if answer.cached:
        parts.append("from cache")
    if answer.repairs:
        parts.append("1 repair" if answer.repairs == 1 else f"{answer.repairs} repairs")
    return " · ".join(part for part in parts if part)


def facts(answer: AnswerLike) -> dict[str, Any]:
    """Return the figures that go to output metadata; ``usd`` is an exact decimal string."""
    return {
        "trace_id": answer.trace_id,
        "model": answer.model,
        "usd": f"{answer.usd:f}",
        "simulated": answer.simulated,
        "cached": answer.cached,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "estimated": answer.usage.estimated,
        "finish_reason": answer.finish_reason,
        "repairs": answer.repairs,
        "latency_s": answer.latency_s,
    }


def _folded(reasoning: str) -> str:
    # Blank lines around the body make renderers read it as Markdown within the element. A closing
    # tag in it would end the fold early; shown as text it cannot.
    body = safe_markdown(reasoning).replace("</details", "&lt;/details")
    return f"<details><summary>Reasoning</summary>\n\n{body}\n\n</details>"
