"""Settlement to the nano-dollar, and a worst case that no call can pass."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices.data import providers as PROVIDERS  # noqa: N812
from hypothesis import assume, given
from hypothesis import strategies as st

from llmops_kernel.calls.prices import (
    FreePrice,
    GenaiPrice,
    Price,
    TablePrice,
    cost_of_response,
    find_price,
    price_age_days,
    price_data_date,
    tier_of,
    usage_of_response,
)
from llmops_kernel.calls.request import ChatRequest
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import SettingsError, UnknownModel, UnknownPrice
from llmops_kernel.settings import PriceSettings

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

NANO = 1_000_000_000
DATA = Path(os.environ.get("LLMOPS_DATA", Path(__file__).parents[3] / "shared" / "data"))
PAYLOADS = DATA / "prices" / "genai_prices_usages_dev.json"

# The payloads' prices were worked out before any later price change took effect.
THEN = datetime(2025, 6, 1, 12, tzinfo=UTC)


def nano(usd: Decimal) -> int:
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


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
TIERS = ("", "", "priority", "flex", "fast", "batch", "default")

models = st.sampled_from(LISTED) | st.sampled_from(RICH)
moments = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def text_usages(draw: st.DrawFn) -> Usage:
    size = st.integers(0, 2_000) | st.integers(0, 1_200_000)
    fresh, cached, written, hour = (draw(size) for _ in range(4))
    output, reasoning = draw(size), draw(size)
    return Usage(
        fresh + cached + written + hour,
        output + reasoning,
        cached_tokens=cached,
        cache_write_tokens=written + hour,
        reasoning_tokens=reasoning,
        tier=draw(st.sampled_from(TIERS)),
        details=(("cache_write_1h_tokens", hour),) if draw(st.booleans()) else (),
    )


@st.composite
def media_usages(draw: st.DrawFn) -> Usage:
    size = st.integers(0, 100_000)
    text, audio, image, cached_audio, output, spoken, drawn = (draw(size) for _ in range(7))
    return Usage(
        text + audio + image + cached_audio,
        output + spoken + drawn,
        cached_tokens=cached_audio,
        input_audio_tokens=audio + cached_audio,
        output_audio_tokens=spoken,
        details=(
            ("cache_audio_read_tokens", cached_audio),
            ("cache_image_read_tokens", 0),
            ("input_image_tokens", image),
            ("output_image_tokens", drawn),
        ),
    )


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


# ---- OpenAI's usage object ---------------------------------------------------------------------


def test_cache_reads_writes_and_thinking_are_read() -> None:
    usage = Usage.from_body(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {
                "cached_tokens": 60, "cache_write_tokens": 20, "audio_tokens": 10,
                "cached_tokens_details": {"audio_tokens": 5},
            },
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4},
        },
        tier="priority",
    )  # fmt: skip
    assert usage == Usage(
        100, 50, 60, 20, 30, 10, 4, tier="priority", details=(("cache_audio_read_tokens", 5),)
    )


@pytest.mark.parametrize(
    ("body", "output"),
    [
        # xAI and Gemini leave thinking out of the completion.
        ({"total_tokens": 135, "completion_tokens_details": {"reasoning_tokens": 94}}, 103),
        ({"total_tokens": 300}, 268),
        ({"completion_tokens_details": {"reasoning_tokens": 94}}, 103),
        # Perplexity bills thinking and citations apart.
        ({"total_tokens": 41, "reasoning_tokens": 5, "citation_tokens": 7}, 21),
        ({"total_tokens": 41}, 9),
        ({"total_tokens": 3}, 9),
    ],
)
def test_all_that_is_billed_as_output_is_output(body: dict[str, Any], output: int) -> None:
    usage = Usage.from_body({"prompt_tokens": 32, "completion_tokens": 9, **body})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (32, output)


@pytest.mark.parametrize(
    "body",
    [
        None, [], "x", {}, {"prompt_tokens": "1"}, {"prompt_tokens": -1}, {"prompt_tokens": True},
        {"prompt_tokens": 1.5}, {"prompt_tokens": 10**12},
        {"prompt_tokens": 1, "completion_tokens": None},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": "x"}},
    ],
)  # fmt: skip
def test_usage_that_makes_no_sense_is_none(body: Any) -> None:
    assert Usage.from_body(body) is None


def test_details_of_a_wrong_shape_are_left_out() -> None:
    body = {"prompt_tokens": 1, "prompt_tokens_details": [], "completion_tokens_details": "x"}
    assert Usage.from_body(body) == Usage(1)


@given(text_usages())
def test_usage_survives_its_own_body(usage: Usage) -> None:
    assume(not usage.details)
    again = Usage.from_body(usage.body(), tier=usage.tier)
    assert again == usage


@given(text_usages(), media_usages())
def test_usage_adds_up(one: Usage, two: Usage) -> None:
    total = one + two
    assert total.input_tokens == one.input_tokens + two.input_tokens
    assert total.total_tokens == one.total_tokens + two.total_tokens
    assert dict(total.details).get("input_image_tokens") == dict(two.details)["input_image_tokens"]
    assert one + Usage(tier=one.tier) == one
