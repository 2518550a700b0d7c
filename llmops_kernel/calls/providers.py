"""Providers that speak OpenAI's chat completions, and where they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmops_kernel.settings import ProviderSettings

LimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenAI-compatible upstream.

    Attributes:
        name: The part of a model's full name before the slash.
        base_url: The URL that ``/chat/completions`` is appended to, without a trailing slash.
        key_env: The variable that holds the key; "" for servers without keys.
        prices: genai-prices' id to look prices up under; "" when it has none.
        limit_field: What the provider calls the bound on output; None where it depends on the
            model that the server happens to run.
        free: Whether its models cost nothing, because they run on your own hardware.
        headers: Further headers of each request.
        timeout_s: Seconds without a byte after which a call is given up; None for the default.
    """

    name: str
    base_url: str
    key_env: str = ""
    prices: str = ""
    limit_field: LimitField | None = "max_tokens"
    free: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None

    def changed(self, settings: ProviderSettings) -> Provider:
        """Return the provider with what ``llmops.toml`` says about it."""
        given = settings.model_dump(exclude_unset=True, exclude_none=True)
        given["base_url"] = settings.base_url.rstrip("/")
        moved = given["base_url"] != self.base_url
        return replace(self, **given, limit_field=None if moved else self.limit_field)

    def limit_for(self, model: str) -> LimitField:
        """Return the name that the bound on output has for a model.

        A wrong name may be ignored without a word, and then nothing bounds the output.
        """
        if self.limit_field is not None:
            return self.limit_field
        # Behind an unknown URL OpenAI's reasoning models insist on the new name; other servers may
        # only know the old one.
        new = model.rpartition("/")[2].startswith(("o1", "o3", "o4", "gpt-5", "gpt-6"))
        return "max_completion_tokens" if new else "max_tokens"


_BUILT_IN = (
    Provider(
        "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai", "max_completion_tokens"
    ),
    Provider("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "anthropic"),
    Provider(
        "google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        "google",
    ),
    Provider("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", "mistral"),
    Provider(
        "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", "groq", "max_completion_tokens"
    ),
    Provider("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", "deepseek"),
    Provider("x-ai", "https://api.x.ai/v1", "XAI_API_KEY", "x-ai", "max_completion_tokens"),
    Provider("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", "openrouter"),
    Provider("together", "https://api.together.ai/v1", "TOGETHER_API_KEY", "together"),
    Provider(
        "fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", "fireworks"
    ),
    Provider("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY", "perplexity"),
    Provider(
        "cerebras",
        "https://api.cerebras.ai/v1",
        "CEREBRAS_API_KEY",
        "cerebras",
        "max_completion_tokens",
    ),
    Provider("ollama", "http://127.0.0.1:11434/v1", free=True),
    Provider("vllm", "http://127.0.0.1:8000/v1", free=True),
    Provider("lmstudio", "http://127.0.0.1:1234/v1", free=True),
    Provider("llamacpp", "http://127.0.0.1:8080/v1", free=True),
)

# Other names under which the same keys are kept; the providers' own clients read them too.
ALSO_KNOWN = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}


def built_in() -> dict[str, Provider]:
    """Return the providers known without configuration, by name."""
    return {provider.name: provider for provider in _BUILT_IN}


def all_providers(configured: Mapping[str, ProviderSettings]) -> dict[str, Provider]:
    """Return the built-in providers with the configured ones merged over them, by name."""
    providers = built_in()
    for name, settings in configured.items():
        known = providers.get(name) or Provider(name, "", limit_field=None)
        providers[name] = known.changed(settings)
    return providers


def key_names(configured: Mapping[str, ProviderSettings] | None = None) -> tuple[str, ...]:
    """Return the variables that may hold provider keys, each once."""
    names = [provider.key_env for provider in all_providers(configured or {}).values()]
    return tuple(dict.fromkeys(name for name in (*names, *ALSO_KNOWN.values()) if name))


def is_loopback(url: str) -> bool:
    """Whether a URL points at this machine."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1", "0.0.0.0"} or host.startswith("127.")  # noqa: S104
