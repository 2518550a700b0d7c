"""Counting for the budget: bounds before a call, estimates where a provider sent no usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.prices import tier_of
from llmops_kernel.calls.tokens import bound_tokens, count_request, count_tokens, has_media
from llmops_kernel.calls.usage import Usage

if TYPE_CHECKING:
    from llmops_kernel.calls.reply import Reply
    from llmops_kernel.calls.request import Request


class TokenCounting:
    """Counts requests, replies and texts with the door's tokenizers."""

    def bound(self, request: Request, model: str) -> int:
        """Return an upper bound on the input tokens of a request."""
        return bound_tokens(request, model)

    def text(self, text: str) -> int:
        """Return the likely tokens of a text."""
        return count_tokens(text)

    def conditions(self, request: Request) -> dict[str, Any]:
        """Return what makes a request dearer, as further arguments of `Price.worst`."""
        return {"tier": tier_of(request), "media": has_media(request)}

    def usage(self, request: Request, reply: Reply, model: str) -> Usage:
        """Return the likely usage of a call, marked as estimated."""
        written = count_tokens(reply.output_text(), model)
        return Usage(count_request(request, model), written, estimated=True)
