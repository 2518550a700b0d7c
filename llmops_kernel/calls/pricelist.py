"""Looking models up in genai-prices' bundled data, and reading providers' own responses with it.

The package is imported on first use (half a second), and only its data are used: it is never asked
to update itself from the network, so one version of the package is one list of prices.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache, lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_kernel.calls.genai import GenaiPrice
from llmops_kernel.calls.rates import FIELDS
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import UnknownModel, UnknownPrice, nearest

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, Provider


def find_price(provider: str, model: str) -> GenaiPrice | None:
    """Return a model's price at a provider, or None.

    Args:
        provider: genai-prices' id of the provider; "" looks the model up at all of them, the one
            that the name suggests first.
        model: The model's name, as the provider's API takes it.
    """
    snapshot = _snapshot()
    if provider:
        known = [each for each in snapshot.providers if each.id == provider]
    else:
        known = _likely_first(snapshot, model)
    for each in known:
        price = _listed(each.id, model)
        # A listed model without figures is not free: nobody knows what it costs.
        if price is not None and "input_tokens" in price.priced:
            return price
    return None


def find_provider(url: str) -> str:
    """Return genai-prices' id of the provider behind a base URL, or ""."""
    try:
        return _snapshot().find_provider(None, None, url).id
    except LookupError:
        return ""


def known_provider(provider: str) -> bool:
    """Whether genai-prices has a provider of this id."""
    return any(each.id == provider for each in _snapshot().providers)


def is_listed_free(provider: str, model: str) -> bool:
    """Whether a provider lists this model as its free edition (``...:free``, without figures)."""
    if not model.endswith(":free"):
        return False
    snapshot = _snapshot()
    return any(
        each.id == provider and each.find_model(model) is not None for each in snapshot.providers
    )


def suggest(model: str, provider: str = "") -> str:
    """Return ``" (did you mean 'x'?)"`` for the nearest listed model, or an empty string.

    Args:
        model: A name that is not listed.
        provider: Look only at this provider's list; "" for all.
    """
    known = {
        listed.id
        for each in _snapshot().providers
        if provider in ("", each.id)
        for listed in each.models
    }
    return nearest(model, known - {model})


@cache
def price_data_date() -> date:
    """Return the date of the last price change in the list; the list is at least as new.

    The package does not say when its data were collected, so this is the best lower bound. Changes
    dated after the package's installation were announcements, and say nothing.
    """
    from genai_prices import data

    installed = datetime.fromtimestamp(Path(data.__file__).stat().st_mtime, UTC).date()
    dates = (
        start
        for provider in _snapshot().providers
        for model in provider.models
        for part in (*_conditions(model), *(model.price_variants or ()))
        if (start := getattr(part.constraint, "start_date", None)) and start <= installed
    )
    return max(dates, default=installed)


def price_age_days(today: date | None = None) -> int:
    """Return how many days ago the list's last known price change was."""
    return ((today or datetime.now(UTC).date()) - price_data_date()).days


def usage_of_response(body: Any, provider: str, api_flavor: str = "default") -> Usage:
    """Read the usage of a provider's own response body, losing nothing that has a price.

    Args:
        body: The decoded JSON body.
        provider: genai-prices' id of the provider.
        api_flavor: Which of the provider's APIs answered (``chat``, ``responses``, ...).

    Raises:
        ValueError: The body has no usage, or the provider no such API.
    """
    _, usage = _provider(provider).extract_usage(body, api_flavor=api_flavor)
    counts = {key: ceil(count) for key, count in vars(usage).items()}
    fields = {name: counts.pop(key, 0) for key, name in FIELDS.items()}
    return Usage(**fields, details=tuple(sorted(counts.items())))


def cost_of_response(
    body: Any,
    provider: str,
    api_flavor: str = "default",
    *,
    model: str | None = None,
    at: datetime | None = None,
) -> int:
    """Return what a provider's own response cost by the list, in nano-dollars, rounded up.

    A model that is listed without figures costs 0 here, as it does in genai-prices; `find_price`
    does not offer such a model, so no call is made at this price.

    Args:
        body: The decoded JSON body.
        provider: genai-prices' id of the provider.
        api_flavor: Which of the provider's APIs answered.
        model: The model's name (default: the one the body gives).
        at: When the call was made (default: now).

    Raises:
        ValueError: The body has no usage, or the provider no such API.
        UnknownPrice: The model is missing from the body or the list.
    """
    usage = usage_of_response(body, provider, api_flavor)
    if model is None:
        model, _ = _provider(provider).extract_usage(body, api_flavor=api_flavor)
    price = _listed(provider, model) if model else None
    if price is None:
        raise UnknownPrice(f"No price is known for {model!r} at {provider}")
    return price.cost(usage, at=at)


@cache
def _snapshot() -> DataSnapshot:
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    return DataSnapshot(providers=providers, from_auto_update=False)


def _provider(provider: str) -> Provider:
    for each in _snapshot().providers:
        if each.id == provider:
            return each
    known = nearest(provider, (each.id for each in _snapshot().providers))
    raise UnknownModel(f"genai-prices has no provider {provider!r}{known}")


@lru_cache(maxsize=1_024)
def _listed(provider: str, model: str) -> GenaiPrice | None:
    known = _provider(provider)
    found = known.find_model(model, all_providers=_snapshot().providers)
    return GenaiPrice(known, found) if found is not None else None


def _likely_first(snapshot: DataSnapshot, model: str) -> list[Provider]:
    try:
        likely = [snapshot.find_provider(model, None, None)]
    except LookupError:
        likely = []
    return [*likely, *(each for each in snapshot.providers if each not in likely)]


def _conditions(model: ModelInfo) -> list[Any]:
    return model.prices if isinstance(model.prices, list) else []
