"""The price of one model in genai-prices' data: dated changes, times of day, service tiers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.rates import FIELDS, NANO, Bound, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceVariant, Provider

    from llmops_kernel.calls.usage import Usage

# What a request or reply may say that selects another price list of the same model.
_CONTEXT_KEYS = ("service_tier", "speed", "processing")
_DAY = timedelta(days=1)
_KEPT_BOUNDS = 16


class GenaiPrice:
    """The price of one model in genai-prices' data, dated changes and service tiers included.

    Args:
        provider: The provider, as genai-prices describes it.
        model: One of its models (or of a provider that it falls back to).
    """

    max_output_tokens: int | None = None

    def __init__(self, provider: Provider, model: ModelInfo) -> None:
        self._provider = provider
        self._model = model
        self._tables: dict[tuple[int, tuple[int, ...]], Rates] = {}
        self._bounds: dict[tuple[int, str], Bound] = {}
        # genai-prices ignores variants for models that a provider borrows from another.
        own = any(model is known for known in provider.models)
        self._variants: list[PriceVariant] = list(model.price_variants or ()) if own else []
        self.version = data_version()
        self.free = all(_compile(prices).free for prices in _all_prices(model))

    @property
    def context_window(self) -> int | None:
        """The most tokens the model reads, if known."""
        return self._model.context_window

    @property
    def priced(self) -> frozenset[str]:
        """The units that have a price today (``input_tokens``, ``requests``, ...)."""
        return self._rates(datetime.now(UTC), "").priced

    def cost(self, usage: Usage, *, at: datetime | None = None) -> int:
        """Return the settled cost in nano-dollars, rounded up.

        Usage that contradicts itself is settled at the most it can have cost.

        Args:
            usage: Tokens and other units; its tier selects the service tier's prices.
            at: When the call was made, with a time zone (default: now).
        """
        at = at or datetime.now(UTC)
        if any(name.endswith("_seconds") for name, _ in usage.details):
            try:
                return self._by_library(usage, at)
            except ValueError:  # counts that contradict each other
                pass
        rates = self._rates(at, usage.tier)
        cost = rates.cost(usage)
        return rates.bound(usage) if cost is None else cost

    def worst(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        tier: str = "",
        media: bool = False,
        at: datetime | None = None,
    ) -> int:
        """Return the most that this many tokens can cost, in nano-dollars.

        Covers cache writes, reasoning, long-context tiers, fees per request, every time of day, and
        price changes within a day of ``at``. Searches and other tools that a provider bills per use
        are not tokens and not covered.

        Args:
            input_tokens: Most input tokens, cached ones included.
            output_tokens: Most output tokens of all choices, reasoning included.
            tier: The service tier the request asks for; "" for the standard one.
            media: Whether the call has audio, images or video.
            at: When the call is made, with a time zone (default: now).
        """
        at = at.astimezone(UTC) if at else datetime.now(UTC)
        key = (at.toordinal(), tier)
        bound = self._bounds.get(key)
        if bound is None:
            if len(self._bounds) >= _KEPT_BOUNDS:  # yesterday's, for the most part
                self._bounds.clear()
            bound = self._bounds[key] = Bound(self._candidates(at, tier))
        return bound.worst(input_tokens, output_tokens, media=media)

    def _rates(self, at: datetime, tier: str) -> Rates:
        standard = self._model.get_prices(at)
        matched: tuple[int, ...] = ()
        if tier and self._variants:
            matched = tuple(
                index
                for index, variant in enumerate(self._variants)
                if _matches(variant, tier)
                and (variant.constraint is None or variant.constraint.active(at))
            )
        # The standard lists live as long as the model, so their identity names them.
        key = (id(standard), matched)
        rates = self._tables.get(key)
        if rates is None:
            prices = self._model.get_prices(at, _context(tier)) if matched else standard
            rates = self._tables[key] = _compile(prices)
        return rates

    def _candidates(self, at: datetime, tier: str) -> list[Rates]:
        """Return every table that a call reserved now can be settled by."""
        standards = _soon(self._model, at)
        prices = list(standards)
        for variant in self._variants if tier else ():
            if not _matches(variant, tier):
                continue
            for standard in standards:
                changed = {**vars(standard), **_given(variant.prices)}
                prices.append(type(standard)(**changed))
        return [_compile(each) for each in prices]

    def _by_library(self, usage: Usage, at: datetime) -> int:
        # Durations have rules of their own (a least billed length), which the library knows.
        from genai_prices import Usage as GenaiUsage

        counts: dict[str, Any] = {key: getattr(usage, name) for key, name in FIELDS.items()}
        counts = {key: count for key, count in counts.items() if count}
        result = self._model.calc_price(
            GenaiUsage(**counts, **dict(usage.details)),
            self._provider,
            genai_request_timestamp=at,
            price_context=_context(usage.tier),
        )
        return ceil(result.total_price * NANO)


def data_version() -> str:
    """Return name and version of the price list."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


def _all_prices(model: ModelInfo) -> list[ModelPrice]:
    if isinstance(model.prices, list):
        return [condition.prices for condition in model.prices]
    return [model.prices]


def _soon(model: ModelInfo, at: datetime) -> list[ModelPrice]:
    """Return the price lists that apply at some time from ``at`` to a day later."""
    if not isinstance(model.prices, list):
        return [model.prices]
    found: list[ModelPrice] = []
    for condition in reversed(model.prices):  # later ones take precedence
        constraint = condition.constraint
        start = getattr(constraint, "start_date", None)
        if constraint is None or start is None or start <= (at + _DAY).date():
            found.append(condition.prices)
        if constraint is None or (start is not None and start <= at.date()):
            return found
    return [*found, model.prices[0].prices]


def _matches(variant: PriceVariant, tier: str) -> bool:
    return all(key in _CONTEXT_KEYS and value == tier for key, value in variant.when.items())


def _context(tier: str) -> dict[str, str]:
    return dict.fromkeys(_CONTEXT_KEYS, tier) if tier else {}


def _given(prices: ModelPrice) -> dict[str, Any]:
    return {key: price for key, price in vars(prices).items() if price is not None}


def _compile(prices: ModelPrice) -> Rates:
    from genai_prices.data_units import unit_data

    keys = {unit["price_key"]: key for key, unit in unit_data.items()}
    dimensions = {key: unit["dimensions"] for key, unit in unit_data.items()}
    tables = {}
    for price_key, price in _given(prices).items():
        key = keys[price_key]
        scale = Fraction(NANO, unit_data[key]["per"])
        tables[key] = tuple((start, Fraction(usd) * scale) for start, usd in _tiers(price))
    return Rates(tables, dimensions)


def _tiers(price: Any) -> list[tuple[int, Decimal]]:
    if isinstance(price, Decimal):
        return [(-1, price)]
    return [(-1, price.base), *((tier.start, tier.price) for tier in price.tiers)]
