"""Settlement beside genai-prices itself, to the nano-dollar: real payloads, every listed model."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices.data import providers as PROVIDERS  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.calls.prices import (
    GenaiPrice,
    cost_of_response,
    usage_of_response,
)
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import UnknownModel, UnknownPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider
from prices_desk import media_usages, nano, text_usages

DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[3] / "shared" / "data"))
PAYLOADS = DATA / "prices" / "genai_prices_usages_dev.json"


# The payloads' prices were worked out before any later price change took effect.
THEN = datetime(2025, 6, 1, 12, tzinfo=UTC)


# ---- real payloads -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def payloads() -> list[dict[str, Any]]:
    if not PAYLOADS.exists():
        pytest.skip(f"the public price data are not here: {PAYLOADS}")
    rows: list[dict[str, Any]] = json.loads(PAYLOADS.read_text())
    return rows


def cases(payloads: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [
        (row, extractor)
        for row in payloads
        for extracted in row["extracted"]
        for extractor in extracted["extractors"]
        if "input_price" in extractor
    ]


def test_real_payloads_settle_exactly_as_in_the_library(payloads: list[dict[str, Any]]) -> None:
    found = cases(payloads)
    assert len(found) > 1_000
    known = {provider.id: provider for provider in PROVIDERS}
    for row, extractor in found:
        provider, flavor = known[extractor["provider_id"]], extractor["api_flavor"]
        _, usage = provider.extract_usage(row["body"], api_flavor=flavor)
        model = provider.find_model(row["model"], all_providers=PROVIDERS)
        assert model is not None
        expected = model.calc_price(usage, provider, genai_request_timestamp=THEN).total_price
        settled = cost_of_response(row["body"], provider.id, flavor, model=row["model"], at=THEN)
        assert settled == nano(expected), (row["body"], extractor)


def test_real_payloads_settle_at_their_expected_prices(payloads: list[dict[str, Any]]) -> None:
    found = cases(payloads)
    wrong = []
    for row, extractor in found:
        settled = cost_of_response(
            row["body"], extractor["provider_id"], extractor["api_flavor"],
            model=row["model"], at=THEN,
        )  # fmt: skip
        parts = Decimal(extractor["input_price"]) + Decimal(extractor["output_price"])
        if settled != nano(Decimal(extractor.get("total_price", parts))):
            wrong.append((extractor["provider_id"], row["model"]))
    # The list has been corrected since the expectations were written: Azure's cache writes are
    # billed, and Ministral's history was wrong.
    assert {*wrong} <= {("azure", "gpt-5.6-sol"), ("mistral", "ministral-8b-latest")}
    assert len(wrong) <= 3


def test_reading_a_payload_keeps_every_unit(payloads: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for row, extractor in cases(payloads):
        usage = usage_of_response(row["body"], extractor["provider_id"], extractor["api_flavor"])
        seen |= {name for name, count in usage.details if count}
    assert {"cache_write_5m_tokens", "input_image_tokens", "web_searches"} <= seen


def test_a_response_names_its_own_model() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    body = {"model": "gpt-4o-2024-08-06", "usage": usage}
    assert cost_of_response(body, "openai", "chat") == 3_500_000
    with pytest.raises(UnknownPrice):
        cost_of_response({**body, "model": "gpt-99"}, "openai", "chat")
    with pytest.raises(UnknownModel, match="did you mean 'openai'"):
        cost_of_response(body, "opnai", "chat")


# ---- every listed model ------------------------------------------------------------------------

LISTED = [
    (provider, model)
    for provider in PROVIDERS
    for model in provider.models
    if "input_tokens" in GenaiPrice(provider, model).priced
]


# The plain ones are many; draw the rich ones as often.
RICH = [pair for pair in LISTED if isinstance(pair[1].prices, list) or pair[1].price_variants]
models = st.sampled_from(LISTED) | st.sampled_from(RICH)
moments = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def by_library(provider: Provider, model: ModelInfo, usage: Usage, at: datetime) -> Decimal:
    """What genai-prices itself makes of it."""
    tier = {"service_tier": usage.tier, "speed": usage.tier, "processing": usage.tier}
    return model.calc_price(
        GenaiUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_reasoning_tokens=usage.reasoning_tokens,
            input_audio_tokens=usage.input_audio_tokens,
            output_audio_tokens=usage.output_audio_tokens,
            **dict(usage.details),
        ),
        provider,
        genai_request_timestamp=at,
        price_context=tier if usage.tier else None,
    ).total_price


@given(models, text_usages() | media_usages(), moments)
def test_every_cost_is_the_librarys_rounded_up(
    listed: tuple[Provider, ModelInfo], usage: Usage, at: datetime
) -> None:
    provider, model = listed
    price = GenaiPrice(provider, model)
    try:
        expected = by_library(provider, model, usage, at)
    except ValueError:  # the library refuses counts that contradict each other; we settle high
        total = Usage(usage.input_tokens, usage.output_tokens)
        assert price.cost(usage, at=at) >= price.cost(total, at=at)
    else:
        assert price.cost(usage, at=at) == nano(expected)


@given(
    models,
    text_usages(),
    moments,
    st.timedeltas(timedelta(0), timedelta(days=1)),
    st.integers(0, 1_000),
    st.integers(0, 1_000),
)
def test_no_text_call_costs_more_than_its_worst_case(
    listed: tuple[Provider, ModelInfo],
    usage: Usage,
    at: datetime,
    later: timedelta,
    unused_in: int,
    unused_out: int,
) -> None:
    price = GenaiPrice(*listed)
    allowed = (usage.input_tokens + unused_in, usage.output_tokens + unused_out)
    worst = price.worst(*allowed, tier=usage.tier, at=at)
    assert price.cost(usage, at=at + later) <= worst


@given(models, media_usages(), moments)
def test_no_call_with_media_costs_more_than_its_worst_case(
    listed: tuple[Provider, ModelInfo], usage: Usage, at: datetime
) -> None:
    price = GenaiPrice(*listed)
    worst = price.worst(usage.input_tokens, usage.output_tokens, media=True, at=at)
    assert price.cost(usage, at=at) <= worst


few, many = st.integers(0, 1_000), st.integers(0, 10**6)


@given(models, many, many, few, few)
def test_the_worst_case_grows_with_the_tokens(
    listed: tuple[Provider, ModelInfo], one: int, two: int, more: int, most: int
) -> None:
    price = GenaiPrice(*listed)
    assert price.worst(one, two) <= price.worst(one + more, two + most)
