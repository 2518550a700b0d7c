"""What a question would cost at most, without sending it (``--dry-run``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmops_kernel.budget.status import usd
from llmops_kernel.calls.counting import TokenCounting
from llmops_kernel.magics.results import Estimate
from llmops_kernel.prompts import AskSpec, build_request

if TYPE_CHECKING:
    from llmops_kernel.session import Session


def estimate(session: Session, prompt: str, **fields: Any) -> Estimate:
    """Price the first call of a question as the budget would reserve it, before caps narrow it.

    Args:
        session: Whose models, aliases and prices count.
        prompt: The question.
        fields: As `Session.ask` takes them.

    Raises:
        UnknownModel: The model is not known.
        UnknownPrice: Its price is not known.
        UsageProblem: The question could not be asked like this.
    """
    settings = session.settings
    model = fields.pop("model", None) or settings.model
    request = build_request(AskSpec(prompt=prompt, model=model, **fields))
    target = session.catalog.resolve(model)
    price = target.price
    counted = TokenCounting().bound(request, target.model)
    written = request.max_tokens or min(
        settings.default_max_tokens, price.max_output_tokens or settings.default_max_tokens
    )
    return Estimate(
        model=target.name,
        input_tokens=counted,
        output_tokens=written,
        usd=usd(price.worst(counted, written)),
        simulated=target.simulated,
    )
