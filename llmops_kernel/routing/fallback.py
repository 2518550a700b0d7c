"""Where a provider fails, the next model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.routing.router import Decision, OneLeg, may_go_on

if TYPE_CHECKING:
    from llmops_kernel.calls import CallContext, ChatRequest
    from llmops_kernel.errors import ProviderError


class Fallback(OneLeg):
    """A list of models; each is asked only after the ones before it have failed.

    A refusal of ours (a cap, a stop, the loop breaker) never moves on: what must not be spent
    here must not be spent elsewhere. Nor does what the provider calls a wrong request.

    Args:
        models: The models, the preferred one first.
    """

    kind = "fallback"

    def __init__(self, models: tuple[str, ...]) -> None:
        self.models = models

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:  # noqa: ARG002
        """Return the first model."""
        return Decision(self.models[0], "the first of the list")

    def failed(self, error: ProviderError, decision: Decision) -> Decision | None:
        """Return the next model of the list, if there is one and the error allows it."""
        place = self.models.index(decision.model) + 1
        if place == len(self.models) or not may_go_on(error):
            return None
        return Decision(self.models[place], f"{decision.model} failed: {type(error).__name__}")
