"""What a call costs, in integer nano-dollars.

Prices come from three places: `TablePrice` from ``llmops.toml``, `GenaiPrice` from genai-prices'
bundled data, `FreePrice` for models on one's own hardware and in this process. Where none is known,
the call is refused: a cost that cannot be bounded cannot be capped.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from llmops_kernel.calls.genai import GenaiPrice
from llmops_kernel.calls.pricelist import (
    cost_of_response,
    find_price,
    price_age_days,
    price_data_date,
    usage_of_response,
)
from llmops_kernel.calls.rates import NANO, Bound, Rates
from llmops_kernel.errors import SettingsError

if TYPE_CHECKING:
    from llmops_kernel.calls.request import Request
    from llmops_kernel.calls.usage import Usage
    from llmops_kernel.settings import PriceSettings

__all__ = [
    "NANO",
    "FreePrice",
    "GenaiPrice",
    "Price",
    "TablePrice",
    "cost_of_response",
    "find_price",
    "price_age_days",
    "price_data_date",
    "tier_of",
    "usage_of_response",
]

_DEAREST = Decimal(1_000)
_CHEAPEST = Decimal("0.001")

_UNITS = {
    "input_tokens": {"family": "tokens", "direction": "input"},
    "output_tokens": {"family": "tokens", "direction": "output"},
    "cache_read_tokens": {"family": "tokens", "direction": "input", "token_type": "cache_read"},
}


class Price(Protocol):
    """The price of one model."""

    @property
    def version(self) -> str:
        """Where the price comes from and as of when; stored with each ledger event."""
        ...

    @property
    def free(self) -> bool:
        """Whether every call costs nothing."""
        ...

    @property
    def max_output_tokens(self) -> int | None:
        """The model's own bound on output, if known."""
        ...

    def cost(self, usage: Usage) -> int:
        """Settled cost, rounded up to a nano-dollar."""
        ...

    def worst(
        self, input_tokens: int, output_tokens: int, *, tier: str = "", media: bool = False
    ) -> int:
        """Upper bound: uncached or cache-write input, output or reasoning, the dearest tier.

        Args:
            input_tokens: Most input tokens, cached ones included.
            output_tokens: Most output tokens of all choices, reasoning included.
            tier: The service tier the request asks for (``priority``); "" for the standard one.
            media: Whether the call has audio, images or video, which may cost more than text.
        """
        ...


class FreePrice:
    """The price of a model that costs nothing.

    Args:
        version: Why it is free; stored with each ledger event.
        max_output_tokens: The model's own bound on output, if known.
    """

    free = True

    def __init__(self, version: str = "free", max_output_tokens: int | None = None) -> None:
        self.version = version
        self.max_output_tokens = max_output_tokens

    def cost(self, usage: Usage) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def worst(
        self,
        input_tokens: int,  # noqa: ARG002
        output_tokens: int,  # noqa: ARG002
        *,
        tier: str = "",  # noqa: ARG002
        media: bool = False,  # noqa: ARG002
    ) -> int:
        """Return 0."""
        return 0


class TablePrice:
    """A price from ``llmops.toml``, in USD per million tokens.

    Cache writes, reasoning and audio cost what other tokens of their side cost.

    Args:
        name: The model's name in ``[prices."NAME"]``, for the message.
        settings: The figures.

    Raises:
        SettingsError: A figure is so high or low that it is likely meant per token or per 1,000,
            and not confirmed.
    """

    def __init__(self, name: str, settings: PriceSettings) -> None:
        _check_units(name, settings)
        figures = {"input_tokens": settings.input, "output_tokens": settings.output}
        if settings.cached_input is not None:
            figures["cache_read_tokens"] = settings.cached_input
        per_token = {key: Fraction(usd) * NANO / 1_000_000 for key, usd in figures.items()}
        self._rates = Rates({key: ((-1, rate),) for key, rate in per_token.items()}, _UNITS)
        self._bound = Bound([self._rates])
        self.max_output_tokens = settings.max_output_tokens
        self.free = self._rates.free
        self.version = "llmops.toml " + "/".join(f"{usd.normalize():f}" for usd in figures.values())

    def cost(self, usage: Usage) -> int:
        """Return the settled cost in nano-dollars, rounded up."""
        cost = self._rates.cost(usage)
        return self._rates.bound(usage) if cost is None else cost

    def worst(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        tier: str = "",  # noqa: ARG002
        media: bool = False,
    ) -> int:
        """Return the most this many tokens can cost, in nano-dollars."""
        return self._bound.worst(input_tokens, output_tokens, media=media)


def tier_of(request: Request) -> str:
    """Return the service tier a request asks for, as `Price.worst` takes it; "" for the standard.

    ``auto`` counts as the standard: which tier it means is a setting of the account.
    """
    for name in ("service_tier", "speed"):
        tier = request.extra.get(name)
        if isinstance(tier, str) and tier not in ("auto", "default", "standard"):
            return tier
    return ""


def _check_units(name: str, settings: PriceSettings) -> None:
    if settings.confirm:
        return
    for field in ("input", "output", "cached_input"):
        usd: Decimal | None = getattr(settings, field)
        if usd and not _CHEAPEST <= usd <= _DEAREST:
            raise SettingsError(
                f"The {field} price of {name} is unlikely: prices are in USD per 1M tokens",
                detail=f"{field} = {usd} means ${usd} for a million tokens",
                hint=f'Correct it, or add confirm = true to [prices."{name}"] in llmops.toml',
            )
