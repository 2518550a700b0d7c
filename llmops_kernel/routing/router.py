"""What every kind of route offers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llmops_kernel.calls import CallContext, ChatRequest, Outcome
    from llmops_kernel.errors import ProviderError

# What another process's door says of its errors, and those that are its providers' fault.
_CODE = re.compile(r"\[llmops:(\w+)\]")
_PROVIDERS_FAULT = {
    "auth_missing",
    "provider_error",
    "provider_timeout",
    "provider_unreachable",
    "rate_limited",
}
# Of the statuses that blame the caller, those that another provider may not share.
_ELSEWHERE = {401, 403, 404, 408, 429}


@dataclass(frozen=True, slots=True)
class Decision:
    """Which model is asked next, and why.

    Attributes:
        model: One of the route's models, as it is named there.
        reason: Why, in words that quote nothing of the request: they are recorded even where
            content is not.
        confidence: How sure the route is that the model is good enough (0 to 1); None where
            it does not measure that.
    """

    model: str
    reason: str
    confidence: float | None = None


class Router(Protocol):
    """Decides which model serves a request.

    Attributes:
        kind: ``rules``, ``cascade``, ``fallback``, ``learned`` or ``intent``.
        models: Every model it can name; the last one is the largest.
        heavy: Whether deciding takes milliseconds, so that it must not hold up other calls.
    """

    @property
    def kind(self) -> str:
        """What sort of route it is."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """Every model it can name."""
        ...

    @property
    def heavy(self) -> bool:
        """Whether deciding takes milliseconds."""
        ...

    def decide(self, request: ChatRequest, context: CallContext) -> Decision:
        """Return the model to ask first.

        Raises:
            LLMOpsError: The route cannot decide: something it needs is missing or broken.
        """
        ...

    def reviews(self, model: str) -> bool:
        """Whether an answer of this model is looked at before it is served."""
        ...

    def review(self, request: ChatRequest, outcome: Outcome, decision: Decision) -> Decision | None:
        """Return whom to ask instead of serving this answer; None to serve it."""
        ...

    def failed(self, error: ProviderError, decision: Decision) -> Decision | None:
        """Return whom to ask after a provider failed; None to let the error go on."""
        ...


class OneLeg:
    """The part of a router whose first choice is final."""

    heavy = False

    def reviews(self, model: str) -> bool:  # noqa: ARG002 - as the protocol has it
        """Whether an answer is looked at before it is served: never."""
        return False

    def review(
        self,
        request: ChatRequest,  # noqa: ARG002
        outcome: Outcome,  # noqa: ARG002
        decision: Decision,  # noqa: ARG002
    ) -> Decision | None:
        """Return whom to ask instead: nobody."""
        return None

    def failed(self, error: ProviderError, decision: Decision) -> Decision | None:  # noqa: ARG002
        """Return whom to ask after a failure: nobody."""
        return None


def may_go_on(error: ProviderError) -> bool:
    """Whether another model may serve what this error ended.

    Not where the provider refused the request itself (it would be as wrong elsewhere, and a
    caller's fault must not be paid for once per model), and not where another process's door
    refused to spend or to pass the content on: that refusal is ours.
    """
    code = _CODE.search(str(error.upstream_body or ""))
    if code is not None and code[1] not in _PROVIDERS_FAULT:
        return False
    status = error.upstream_status
    return status is None or status in _ELSEWHERE or not 400 <= status < 500
