"""Settlement to the nano-dollar, and a worst case that no call can pass."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from genai_prices.data import providers as PROVIDERS  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.calls.prices import (
    FreePrice,
    GenaiPrice,
    Price,
    TablePrice,
    find_price,
    price_age_days,
    price_data_date,
    tier_of,
)
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import SettingsError
from llmops_kernel.settings import PriceSettings

if TYPE_CHECKING:
    pass
from prices_desk import nano, text_usages


def test_a_price_that_fell_long_ago_does_not_raise_the_worst_case() -> None:
    price = found("openai", "gpt-5.6-sol")
    before, after = datetime(2026, 8, 19, tzinfo=UTC), datetime(2026, 8, 23, tzinfo=UTC)
    assert price.worst(1_000_000, 0, at=after) < price.worst(1_000_000, 0, at=before)


# ---- what the prices are made of ---------------------------------------------------------------


def found(provider: str, model: str) -> GenaiPrice:
    price = find_price(provider, model)
    assert price is not None
    return price


def test_cached_tokens_and_cache_writes_have_their_own_rates() -> None:
    price = found("anthropic", "claude-sonnet-4-5")
    assert price.cost(Usage(1_000)) == 3_000_000
    assert price.cost(Usage(1_000, cached_tokens=1_000)) == 300_000
    assert price.cost(Usage(1_000, cache_write_tokens=1_000)) == 3_750_000
    hour = (("cache_write_1h_tokens", 1_000),)
    assert price.cost(Usage(1_000, cache_write_tokens=1_000, details=hour)) == 6_000_000
    assert price.worst(1_000, 0) == 6_000_000


def test_a_long_context_costs_more_from_its_first_token() -> None:
    price = found("anthropic", "claude-sonnet-4-5")
    assert price.cost(Usage(200_000)) == 200_000 * 3_000
    assert price.cost(Usage(200_001)) == 200_001 * 6_000


def test_a_service_tier_has_its_own_price() -> None:
    price = found("openai", "gpt-4o")
    standard = price.cost(Usage(1_000, 100))
    dear = price.cost(Usage(1_000, 100, tier="priority"))
    assert dear > standard
    assert price.cost(Usage(1_000, 100, tier="default")) == standard
    assert price.worst(1_000, 100) == standard
    assert price.worst(1_000, 100, tier="priority") == dear


def test_the_tier_of_a_request() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    assert tier_of(ChatRequest.from_body(body)) == ""
    assert tier_of(ChatRequest.from_body({**body, "service_tier": "auto"})) == ""
    assert tier_of(ChatRequest.from_body({**body, "service_tier": "priority"})) == "priority"


def test_a_fee_per_request_is_part_of_both() -> None:
    price = found("perplexity", "sonar-pro")
    assert price.cost(Usage()) == price.worst(0, 0) == 14_000_000


def test_searches_are_billed_when_reported() -> None:
    price = found("openai", "gpt-4o")
    assert price.cost(Usage(details=(("web_searches", 3),))) == 30_000_000


def test_durations_are_left_to_the_library() -> None:
    groq = next(provider for provider in PROVIDERS if provider.id == "groq")
    whisper = next(model for model in groq.models if model.id == "whisper-large-v3-turbo")
    price = GenaiPrice(groq, whisper)
    # Ten seconds are billed at least.
    assert price.cost(Usage(details=(("audio_seconds", 1),))) == price.cost(
        Usage(details=(("audio_seconds", 10),))
    )


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("claude-sonnet-4-5", Usage(10, 5, cached_tokens=11)),
        ("claude-sonnet-4-5", Usage(10, 5, cached_tokens=6, cache_write_tokens=6)),
        (
            "claude-sonnet-4-5",
            Usage(10, 5, cache_write_tokens=2, details=(("cache_write_1h_tokens", 3),)),
        ),
        ("gemini-2.5-flash", Usage(10, 5, input_audio_tokens=11)),
        # How much of the audio was cached?
        ("gemini-2.5-flash", Usage(10, 5, cached_tokens=5, input_audio_tokens=5)),
        ("gemini-2.5-flash", Usage(10, 5, details=(("cache_audio_read_tokens", 3),))),
    ],
)
def test_counts_that_contradict_each_other_settle_high(model: str, usage: Usage) -> None:
    price = found("", model)
    assert price.cost(usage) >= price.cost(Usage(10, 5))
    assert price.cost(usage) <= price.worst(13, 5, media=True)


def test_looking_up_is_by_provider_or_by_name() -> None:
    assert found("", "gpt-4o").cost(Usage(1_000)) == found("openai", "gpt-4o").cost(Usage(1_000))
    assert find_price("anthropic", "gpt-4o") is None
    assert find_price("nobody", "gpt-4o") is None
    assert find_price("", "no-such-model") is None
    assert find_price("cerebras", "qwen-3-coder-480b") is None  # listed, but without figures


def test_the_version_and_age_of_the_list_are_known() -> None:
    assert found("openai", "gpt-4o").version.startswith("genai-prices ")
    assert date(2025, 1, 1) < price_data_date() <= datetime.now(UTC).date()
    assert price_age_days(price_data_date() + timedelta(days=3)) == 3


# ---- llmops.toml -------------------------------------------------------------------------------

usd = st.decimals(Decimal("0.001"), Decimal(1_000), places=6)


@given(usd, usd, usd | st.none(), text_usages())
def test_a_configured_price_is_exact_and_its_worst_case_holds(
    input_usd: Decimal, output_usd: Decimal, cached_usd: Decimal | None, usage: Usage
) -> None:
    settings = PriceSettings(input=input_usd, output=output_usd, cached_input=cached_usd)
    price = TablePrice("m", settings)
    fresh = usage.input_tokens - usage.cached_tokens
    cached = input_usd if cached_usd is None else cached_usd
    dollars = fresh * input_usd + usage.cached_tokens * cached + usage.output_tokens * output_usd
    assert price.cost(usage) == nano(dollars / 1_000_000)
    assert price.cost(usage) <= price.worst(usage.input_tokens, usage.output_tokens)


def test_a_configured_price_says_where_it_comes_from() -> None:
    price = TablePrice("m", PriceSettings(input="2.50", output="10", max_output_tokens=99))  # type: ignore[arg-type]
    assert (price.version, price.max_output_tokens, price.free) == ("llmops.toml 2.5/10", 99, False)
    assert TablePrice("m", PriceSettings(input=Decimal(0), output=Decimal(0))).free


@pytest.mark.parametrize("figure", ["0.0000025", "1000.01", "0.00099"])
@pytest.mark.parametrize("field", ["input", "output", "cached_input"])
def test_a_price_in_another_unit_must_be_confirmed(field: str, figure: str) -> None:
    figures: dict[str, Any] = {"input": "1", "output": "2", field: figure}
    with pytest.raises(SettingsError, match="USD per 1M tokens") as refused:
        TablePrice("m", PriceSettings(**figures))
    assert 'confirm = true to [prices."m"]' in refused.value.hint
    assert not TablePrice("m", PriceSettings(**figures, confirm=True)).free


def test_every_price_keeps_the_contract() -> None:
    prices: list[Price] = [
        FreePrice(),
        TablePrice("m", PriceSettings(input=Decimal(1), output=Decimal(2))),
        found("openai", "gpt-4o"),
    ]
    for price in prices:
        assert price.version
        assert isinstance(price.cost(Usage(1, 1)), int)
        assert isinstance(price.worst(1, 1), int)
        assert price.free == (price.worst(10**6, 10**6, media=True) == 0)
