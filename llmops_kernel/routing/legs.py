"""What a route did: one line for each model it asked, and the sum."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from llmops_kernel.calls import Outcome, Reply
    from llmops_kernel.errors import ProviderError
    from llmops_kernel.routing.router import Decision

State = Literal["served", "passed over", "failed"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One model that a route asked.

    Attributes:
        model: Its name in the route.
        state: ``served``; ``passed over`` for an answer that a check did not let through;
            ``failed``.
        reason: Why it was asked.
        answered: The name the provider gave; "" where nobody answered.
        usd_nano: What it was charged, in nano-dollars of its book; None where that is not known.
        error: Name of the error, for one that failed.
        billed: Whether a leg that failed may have been billed by the provider.
        latency_s: Seconds on a virtual clock, for simulated models.
    """

    model: str
    state: State
    reason: str
    answered: str = ""
    usd_nano: int | None = 0
    book: str = "real"
    input_tokens: int = 0
    output_tokens: int = 0
    cached: bool = False
    confidence: float | None = None
    error: str = ""
    billed: bool = False
    latency_s: float | None = None

    @classmethod
    def of(cls, decision: Decision, reply: Reply, state: State = "served") -> Leg:
        """Return the leg that brought a reply."""
        usage = reply.usage
        return cls(
            decision.model,
            state,
            decision.reason,
            reply.model,
            reply.cost_nano,
            "simulated" if reply.simulated else "real",
            usage.input_tokens if usage else 0,
            usage.output_tokens if usage else 0,
            reply.cached,
            decision.confidence,
            latency_s=reply.latency_s,
        )

    @classmethod
    def lost(
        cls, decision: Decision, error: ProviderError, usd_nano: int | None, *, billed: bool
    ) -> Leg:
        """Return the leg whose provider failed before it brought anything."""
        return cls(
            decision.model,
            "failed",
            decision.reason,
            usd_nano=usd_nano,
            confidence=decision.confidence,
            error=type(error).__name__,
            billed=billed,
        )


class Journey:
    """The legs of one call through a route, and what its reply carries of them.

    Args:
        name: The route.
        kind: What sort of route it is.
    """

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.legs: list[Leg] = []
        self.outcomes: list[Outcome] = []  # of answers that were passed over

    def pass_over(self, leg: Leg, outcome: Outcome) -> None:
        """Note an answer that is not served."""
        self.legs.append(leg)
        self.outcomes.append(outcome)

    def absorb(self, inner: Journey) -> None:
        """Take over what a route inside this one did before it failed."""
        self.legs += inner.legs
        self.outcomes += inner.outcomes

    @property
    def spent_nano(self) -> int:
        """What the legs so far have cost, whatever book it is written in."""
        return sum(leg.usd_nano or 0 for leg in self.legs)

    def carried(self, reply: Reply) -> Reply:
        """Return the reply that is served, with what all legs of its book cost and took.

        Its usage stays that of the model that answered.
        """
        book = "simulated" if reply.simulated else "real"
        before = [leg for leg in self.legs if leg.book == book]
        cost = sum(leg.usd_nano or 0 for leg in before)
        waited = [leg.latency_s for leg in before if leg.latency_s is not None]
        latency = reply.latency_s
        if waited:
            latency = (latency or 0.0) + sum(waited)
        return reply.with_(cost_nano=reply.cost_nano + cost, latency_s=latency)

    def left_behind(self, served: Reply | None) -> list[Outcome]:
        """Return what was passed over, without the figures that the served reply carries."""
        found = []
        for outcome in self.outcomes:
            reply = outcome.reply
            if served is not None and reply.simulated == served.simulated:
                reply = reply.with_(cost_nano=0, latency_s=None)
            found.append(type(outcome)(reply, outcome.ending, outcome.error))
        return found

    def facts(self, served: Reply | None) -> dict[str, Any]:
        """Return what the route's span records; ``served`` carries the sums already."""
        facts: dict[str, Any] = {"route": self.name, "router": self.kind}
        if self.legs:
            last = self.legs[-1]
            facts |= {"chosen": last.model, "reason": last.reason}
            if last.confidence is not None:
                facts["confidence"] = round(last.confidence, 4)
        facts["legs"] = [_brief(leg) for leg in self.legs]
        if served is not None:
            facts |= {
                "model": served.model,
                "usd_nano": served.cost_nano,
                "book": "simulated" if served.simulated else "real",
            }
            if served.latency_s is not None:
                facts["latency_s"] = round(served.latency_s, 4)
        return facts

    def sentence(self) -> str:
        """Return decision and reason in words."""
        said = "; then ".join(f"{leg.model} ({leg.reason})" for leg in self.legs)
        lost = [leg.model for leg in self.legs if leg.billed]
        return said + (f"; may be billed though it failed: {', '.join(lost)}" if lost else "")


def _brief(leg: Leg) -> dict[str, Any]:
    """Return a leg without what is empty."""
    return {
        key: value
        for key, value in asdict(leg).items()
        if value not in ("", False) or key == "usd_nano"
    }
