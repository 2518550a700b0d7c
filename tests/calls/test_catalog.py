"""Which target a model's name leads to."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_kernel.calls.catalog import Catalog
from llmops_kernel.calls.usage import Usage
from llmops_kernel.errors import (
    BadRequest,
    SettingsError,
    UnknownModel,
    UnknownPrice,
)
from llmops_kernel.settings import PriceSettings, ProviderSettings, Settings

DOLLAR = 1_000_000_000


def catalog(*keys: str, upstream_url: str | None = None, **settings: Any) -> Catalog:
    return Catalog(
        Settings(user="u", **settings), has_key=keys.__contains__, upstream_url=upstream_url
    )


def price(input: float = 1, output: float = 2) -> PriceSettings:  # noqa: A002
    return PriceSettings(input=str(input), output=str(output))  # type: ignore[arg-type]


# ---- in this process ---------------------------------------------------------------------------


def test_the_offline_model_is_free_and_simulated() -> None:
    target = catalog().resolve("offline/extractive")
    assert (target.name, target.provider, target.model) == (
        "offline/extractive", "offline", "extractive",
    )  # fmt: skip
    assert target.simulated
    assert target.price.free
    assert target.base_url == target.key_env == ""


@pytest.mark.parametrize(
    ("name", "model", "usd"),
    [
        ("sim/gpt-4o", "gpt-4o", 2.5),
        ("sim/claude-sonnet-4-5", "claude-sonnet-4-5", 3),
        ("sim/anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", 3),
        ("sim/text-embedding-3-small", "text-embedding-3-small", 0.02),
        ("sim/groq/llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile", 0.59),
    ],
)
def test_a_simulated_model_has_the_real_ones_price(name: str, model: str, usd: float) -> None:
    target = catalog().resolve(name)
    assert (target.name, target.provider, target.model) == (name, "sim", model)
    assert target.book == "simulated"
    assert target.price.cost(Usage(100_000)) * 10 == usd * DOLLAR


def test_a_simulated_free_model_is_free() -> None:
    assert catalog().resolve("sim/ollama/llama3").price.free


def test_a_simulated_alias_is_its_target_simulated() -> None:
    found = catalog(aliases={"large": "openai/gpt-4o"}).resolve("sim/large")
    assert (found.name, found.book) == ("sim/openai/gpt-4o", "simulated")


# ---- providers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "url", "key"),
    [
        ("openai/gpt-4o", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("mistral/mistral-large-latest", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        (
            "google/gemini-2.5-flash",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GEMINI_API_KEY",
        ),
        (
            "openrouter/anthropic/claude-sonnet-4.5",
            "https://openrouter.ai/api/v1",
            "OPENROUTER_API_KEY",
        ),
    ],
)
def test_built_in_providers(name: str, url: str, key: str) -> None:
    target = catalog().resolve(name)
    assert target.name == name
    assert target.provider == name.split("/")[0]
    assert target.model == name.partition("/")[2]
    assert (target.base_url, target.key_env) == (url, key)
    openai = target.provider == "openai"
    assert target.limit_field == ("max_completion_tokens" if openai else "max_tokens")
    assert target.book == "real"
    assert not target.price.free


@pytest.mark.parametrize("name", ["ollama/llama3", "vllm/openai/gpt", "lmstudio/x", "llamacpp/x"])
def test_local_servers_are_free_and_need_no_key(name: str) -> None:
    target = catalog().resolve(name)
    assert target.price.free
    assert target.key_env == ""
    assert target.base_url.startswith("http://127.0.0.1:")
    assert target.book == "real"


def test_a_free_edition_is_free_and_only_that() -> None:
    found = catalog().resolve("openrouter/meta-llama/llama-3.3-70b-instruct:free")
    assert found.price.free
    with pytest.raises(UnknownPrice):
        catalog().resolve("openrouter/nobody/nothing:free")


def test_a_listed_model_without_figures_is_not_free() -> None:
    with pytest.raises(UnknownPrice):
        catalog().resolve("cerebras/qwen-3-coder-480b")


def test_a_configured_provider_is_used_as_configured() -> None:
    corp = ProviderSettings(
        base_url="https://llm.example.com/v1/", key_env="CORP_KEY", prices="openai",
        headers={"x-team": "$TEAM"}, timeout_s=7,
    )  # fmt: skip
    target = catalog(providers={"corp": corp}).resolve("corp/gpt-4o")
    assert target.base_url == "https://llm.example.com/v1"
    assert (target.key_env, target.timeout_s) == ("CORP_KEY", 7)
    assert target.headers == {"x-team": "$TEAM"}
    assert target.price.cost(Usage(1_000_000)) == 2.5 * DOLLAR


def test_settings_are_merged_over_a_built_in_provider() -> None:
    moved = {"ollama": ProviderSettings(base_url="http://gpu:11434/v1")}
    target = catalog(providers=moved).resolve("ollama/llama3")
    assert target.base_url == "http://gpu:11434/v1"
    assert target.price.free
    moved = {"openai": ProviderSettings(base_url="https://proxy.example.com/v1")}
    target = catalog(providers=moved).resolve("openai/gpt-4o")
    assert (target.key_env, target.price.free) == ("OPENAI_API_KEY", False)
    # A server that nobody knows may only know the old name; OpenAI's newer models only the new one.
    assert target.limit_field == "max_tokens"
    assert catalog(providers=moved).resolve("openai/gpt-5").limit_field == "max_completion_tokens"


def test_an_unlisted_provider_has_no_price() -> None:
    corp = ProviderSettings(base_url="https://llm.example.com/v1")
    with pytest.raises(UnknownPrice):
        catalog(providers={"corp": corp}).resolve("corp/gpt-4o")


# ---- bare names --------------------------------------------------------------------------------


def test_a_bare_name_goes_to_openai_if_there_is_a_key() -> None:
    keys: set[str] = set()
    found = Catalog(Settings(user="u"), has_key=keys.__contains__)
    assert found.resolve("gpt-4o").name == "sim/gpt-4o"
    keys.add("OPENAI_API_KEY")
    assert found.resolve("gpt-4o").name == "openai/gpt-4o"
    keys.clear()
    assert found.resolve("gpt-4o").name == "sim/gpt-4o"


def test_offline_means_simulated_whatever_the_keys() -> None:
    assert catalog("OPENAI_API_KEY", provider="offline").resolve("gpt-4o").name == "sim/gpt-4o"


def test_a_bare_name_goes_to_the_default_provider() -> None:
    assert catalog(provider="groq").resolve("llama-3.3-70b-versatile").provider == "groq"
    assert catalog(provider="ollama").resolve("llama3").base_url == "http://127.0.0.1:11434/v1"


def test_the_persons_own_base_url_is_openai() -> None:
    own = "http://127.0.0.1:9000/v1"
    target = catalog(upstream_url=own + "/").resolve("gpt-4o")
    assert (target.name, target.base_url, target.book) == ("openai/gpt-4o", own, "real")
    assert target.key_env == "OPENAI_API_KEY"
    assert target.limit_field == "max_tokens"
    assert catalog(upstream_url=own).resolve("openai/gpt-4o").base_url == own
    assert catalog(upstream_url=own).resolve("ollama/x").base_url == "http://127.0.0.1:11434/v1"


def test_a_loopback_server_is_not_free_by_being_near() -> None:
    own = "http://127.0.0.1:8000/v1"
    with pytest.raises(UnknownPrice) as refused:
        catalog(upstream_url=own).resolve("qwen-9")
    assert f'base_url = "{own}"\nfree = true' in refused.value.hint
    # The same lines are what helps.
    local = ProviderSettings(base_url=own, free=True)
    target = catalog(upstream_url=own, providers={"local": local}).resolve("qwen-9")
    assert (target.name, target.price.free) == ("local/qwen-9", True)
    own_openai = {"openai": ProviderSettings(base_url=own, free=True)}
    assert catalog(upstream_url=own, providers=own_openai).resolve("qwen-9").price.free


def test_a_routers_names_have_slashes() -> None:
    own = "https://openrouter.ai/api/v1"
    target = catalog(upstream_url=own).resolve("anthropic/claude-sonnet-4.5")
    assert (target.provider, target.model) == ("openai", "anthropic/claude-sonnet-4.5")
    assert (target.base_url, target.price.free) == (own, False)
    # With a key for the provider itself, its name means the provider.
    both = catalog("ANTHROPIC_API_KEY", upstream_url=own)
    assert both.resolve("anthropic/claude-sonnet-4-5").provider == "anthropic"
    routed = catalog(provider="openrouter").resolve("anthropic/claude-sonnet-4.5")
    assert routed.name == "openrouter/anthropic/claude-sonnet-4.5"


# ---- aliases and prices ------------------------------------------------------------------------


def test_aliases_chain() -> None:
    aliases = {"judge": "large", "large": " sim/gpt-4o "}
    assert catalog(aliases=aliases).resolve(" judge ").name == "sim/gpt-4o"


def test_a_circle_of_aliases_is_refused() -> None:
    with pytest.raises(SettingsError) as refused:
        catalog(aliases={"a": "b", "b": "a"}).resolve("a")
    assert refused.value.detail == "a → b → a"


def test_an_alias_comes_before_a_model_of_that_name() -> None:
    assert catalog(aliases={"gpt-4o": "ollama/llama3"}).resolve("gpt-4o").provider == "ollama"


def test_configured_prices_win_by_full_name_then_bare() -> None:
    found = catalog(prices={"openai/gpt-4o": price(7), "gpt-4o": price(5), "llama3": price(3)})
    assert found.resolve("openai/gpt-4o").price.cost(Usage(1_000_000)) == 7 * DOLLAR
    assert found.resolve("sim/gpt-4o").price.cost(Usage(1_000_000)) == 5 * DOLLAR
    assert found.resolve("sim/openai/gpt-4o").price.cost(Usage(1_000_000)) == 7 * DOLLAR
    assert found.resolve("ollama/llama3").price.cost(Usage(1_000_000)) == 3 * DOLLAR


def test_a_price_in_the_wrong_unit_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="USD per 1M tokens"):
        catalog(prices={"x": price(0.0000025, 0.00001)})


def test_an_unknown_default_provider_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="did you mean 'openai'"):
        catalog(provider="opennai")


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("gpt-4x", "gpt-4o"),
        ("OpenAI/gpt-4o", "openai/gpt-4o"),
        ("opnai/gpt-4o", "openai/gpt-4o"),
        ("offline/extractiv", "offline/extractive"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(name: str, guess: str) -> None:
    with pytest.raises(UnknownModel) as refused:
        catalog().resolve(name)
    assert f"did you mean {guess!r}?" in refused.value.message
    assert refused.value.status == 404


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "x" * 10_000, "a\u202eb", "a\ud800"])
def test_names_that_no_model_can_have(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        catalog().resolve(name)
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("openai/gpt-99", "openai/gpt-99"),
        ("sim/nothing", "nothing"),
        ('openai/a"b\\c', 'openai/a"b\\c'),
        ("nothing", "nothing"),
    ],
)
def test_the_hint_is_what_to_add(name: str, entry: str) -> None:
    with pytest.raises((UnknownPrice, UnknownModel)) as refused:
        catalog().resolve(name)
    lines = refused.value.hint.partition("\n")[2].replace("...", "1.5")
    prices = tomllib.loads(lines)["prices"]
    assert prices == {entry: {"input": 1.5, "output": 1.5}}
    # And with these lines the name works.
    assert catalog(prices=prices).resolve(name).price.version == "llmops.toml 1.5/1.5"


full_names = st.from_regex(r"(sim|openai|offline|ollama)/[ -~]{0,12}", fullmatch=True)


@given(st.text(max_size=40) | full_names)
def test_every_name_leads_to_a_target_or_a_refusal(name: str) -> None:
    try:
        target = SHARED.resolve(name)
    except (BadRequest, UnknownModel, UnknownPrice, SettingsError):
        return  # anything else fails the test
    assert target.name == f"{target.provider}/{target.model}"
    assert SHARED.resolve(target.name) == target


SHARED = catalog(aliases={"a": "b", "small": "sim/gpt-4o-mini"})


def test_resolving_again_gives_the_same_target() -> None:
    found = catalog()
    assert found.resolve("gpt-4o") is found.resolve("sim/gpt-4o")


def test_the_names_offered_can_all_be_resolved() -> None:
    settings: dict[str, Any] = {
        "aliases": {"small": "sim/gpt-4o-mini"},
        "prices": {"my-model": price(), "sim/other": price()},
    }
    for found in (catalog(**settings), catalog("OPENAI_API_KEY", **settings)):
        names = found.models()
        some = {"offline/extractive", "small", "gpt-4o-mini", "sim/gpt-4o", "my-model"}
        assert some <= set(names)
        assert len(names) == len(set(names))
        for name in names:
            found.resolve(name)
