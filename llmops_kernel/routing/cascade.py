"""The cheapest model first; a larger one where a check does not hold.

The idea is that of FrugalGPT (Chen, Zaharia and Zou, 2023): a cascade pays for the small answer
in every case, so it saves only where small answers are good often enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.routing.router import Decision, may_go_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmops_kernel.calls import CallContext, ChatRequest, Outcome
    from llmops_kernel.errors import ProviderError
    from llmops_kernel.routing.checks import Check


class Cascade:
    """Models from cheap to dear; all but the last are checked before their answer is served.

    Args:
        models: The models, the cheapest first.
        checks: What an answer must hold; the first that does not sends the call on.
    """

    kind = "cascade"
    heavy = False

    def __init__(self, models: tuple[str, ...], checks: Sequence[Check]) -> None:
        self.models = models
        self.checks = tuple(checks)

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:  # noqa: ARG002
        """Return the cheapest model."""
        return Decision(self.models[0], "the cheapest first")

    def reviews(self, model: str) -> bool:
        """Whether the model is not the last one."""
        return model != self.models[-1]

    def review(self, request: ChatRequest, outcome: Outcome, decision: Decision) -> Decision | None:
        """Return the next model if a check does not hold."""
        for check in self.checks:
            why = check(request, outcome)
            if why:
                return Decision(self._next(decision), f"{decision.model}: {why}")
        return None

    def failed(self, error: ProviderError, decision: Decision) -> Decision | None:
        """Return the next model: no answer is no good answer."""
        if not self.reviews(decision.model) or not may_go_on(error):
            return None
        return Decision(self._next(decision), f"{decision.model} failed: {type(error).__name__}")

    def _next(self, decision: Decision) -> str:
        return self.models[self.models.index(decision.model) + 1]
