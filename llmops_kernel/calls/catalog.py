"""Model names: aliases, providers and where a call goes.

A name is an alias of ``llmops.toml``, a full name ``provider/model``, or a bare model name, which
goes to the default provider. Two providers answer in this process: ``offline/extractive`` and
``offline/embed`` for free, and ``sim/<model>`` at another model's price. The name ``embed`` means
``offline/embed`` until an alias says otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from llmops_kernel.calls import pricelist
from llmops_kernel.calls.genai import data_version
from llmops_kernel.calls.prices import FreePrice, TablePrice
from llmops_kernel.calls.providers import Provider, all_providers, is_loopback
from llmops_kernel.errors import (
    BadRequest,
    SettingsError,
    UnknownModel,
    UnknownPrice,
    nearest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmops_kernel.calls.prices import Price
    from llmops_kernel.settings import Settings

Book = Literal["real", "simulated"]

OFFLINE = "offline/extractive"
OFFLINE_EMBED = "offline/embed"
_EMBED_ALIAS = "embed"
_ROUTE = "route/"  # served before anything asks where a call goes
_LOCAL = "local/"  # a server of this machine, which may come and go between two calls
_LONGEST_NAME = 256
_KEPT_TARGETS = 1_024

# Frameworks know these names and shape their requests by them, so they are offered everywhere.
_COMMON = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-4.1", "gpt-5-mini", "gpt-5", "o4-mini")
_COMMON_EMBEDDINGS = ("text-embedding-3-small", "text-embedding-3-large")
_COMMON_ELSEWHERE = ("anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes and what it costs.

    Attributes:
        name: The full name, ``provider/model`` (``openai/gpt-4o``, ``sim/gpt-4o``).
        provider: The provider's name; ``offline`` and ``sim`` answer in this process.
        model: The model's name at the provider.
        price: What it costs.
        book: The book its cost is written in.
        base_url: The upstream's URL, without a trailing slash; "" in process.
        key_env: The variable the key is read from; "" for none.
        headers: Further headers.
        limit_field: The name of the output bound the provider wants.
        timeout_s: Seconds without a byte after which the call is given up.
    """

    name: str
    provider: str
    model: str
    price: Price
    book: Book = "real"
    base_url: str = ""
    key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    timeout_s: float = 120.0

    @property
    def simulated(self) -> bool:
        """Whether no real model answers."""
        return self.book == "simulated"


class Catalog:
    """Finds the target of a model name.

    Args:
        settings: Aliases, providers, prices and the default provider.
        has_key: Whether there is a key under a variable's name.
        upstream_url: The base URL that the person had set for OpenAI's clients; bare names go
            there when the provider is ``auto``.
        routes: Names the routes there are, to be offered in lists.
        served: Gives the target of a server of this machine by its name, ``local/NAME``; None if
            there is none. Asked at each call, before any ``[providers.local]``.
        servers: Names these servers, to be offered in lists.

    Raises:
        SettingsError: The default provider is unknown, or a price is in the wrong unit.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        has_key: Callable[[str], bool],
        upstream_url: str | None = None,
        routes: Callable[[], Sequence[str]] = tuple,
        served: Callable[[str], Target | None] | None = None,
        servers: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._has_key = has_key
        self._routes = routes
        self._served = served
        self._servers = servers
        self._providers = all_providers(settings.providers)
        self._prices = {name: TablePrice(name, price) for name, price in settings.prices.items()}
        self._targets: dict[str, Target] = {}
        modes = ("auto", "offline", *self._providers)
        if settings.provider not in modes:
            raise SettingsError(
                f"There is no provider {settings.provider!r}{nearest(settings.provider, modes)}",
                hint=f"Use auto, offline or a provider's name, or add "
                f"[providers.{settings.provider}]",
            )
        self._upstream = self._own_upstream(upstream_url.rstrip("/")) if upstream_url else None

    def resolve(self, name: str) -> Target:
        """Return where calls to a model go.

        Raises:
            BadRequest: No model can have such a name.
            UnknownModel: No alias, provider or price list knows the name.
            UnknownPrice: The model's price is unknown, so its cost cannot be bounded.
            SettingsError: Aliases go round in a circle.
        """
        name = self._unaliased(_checked(name))
        if name.startswith(_LOCAL) and (served := self._local(name)) is not None:
            return served
        full = self._full_name(name)
        target = self._targets.get(full)
        if target is None:
            target = self._build(full)
            if len(self._targets) >= _KEPT_TARGETS:
                self._targets.clear()
            self._targets[full] = target
        return target

    def models(self) -> list[str]:
        """Return names to offer in lists and completion; many more are understood."""
        names = [
            OFFLINE,
            OFFLINE_EMBED,
            _EMBED_ALIAS,
            *sorted(self._settings.aliases),
            *(f"{_ROUTE}{name}" for name in self._routes()),
            *(f"{_LOCAL}{name}" for name in self._servers()),
            *_COMMON,
            *_COMMON_EMBEDDINGS,
            *(f"sim/{name}" for name in (*_COMMON, *_COMMON_ELSEWHERE)),
            *sorted(self._prices),
        ]
        return list(dict.fromkeys(names))

    # ---- names --------------------------------------------------------------------------------

    def _unaliased(self, name: str) -> str:
        aliases = self._settings.aliases
        seen: list[str] = []
        while name in aliases:
            if name in seen:
                circle = " → ".join([*seen, name])
                raise SettingsError(
                    "Aliases go round in a circle", detail=circle, hint="Correct [aliases]"
                )
            seen.append(name)
            name = aliases[name].strip()
        return OFFLINE_EMBED if name == _EMBED_ALIAS else name

    def _local(self, name: str) -> Target | None:
        """Return the target of a server of this machine; None where the name is a provider's.

        Raises:
            UnknownModel: No server of that name runs, and there is no provider ``local``.
        """
        if self._served is None:
            return None
        target = self._served(name.removeprefix(_LOCAL))
        if target is None and "local" not in self._providers:
            running = [f"{_LOCAL}{each}" for each in self._servers()]
            server, colon, adapter = name.partition(":")
            if colon and server in running:
                raise UnknownModel(
                    f"The server {server!r} has no adapter {adapter!r}",
                    hint=f"%serve lora {server.removeprefix(_LOCAL)} lists those it has",
                )
            raise UnknownModel(
                f"No server {name!r} runs{nearest(name, running)}",
                hint=f"Start it: %serve start {name.removeprefix(_LOCAL)}; %serve list shows those "
                "that run",
            )
        return target

    def _full_name(self, name: str) -> str:
        """Return ``provider/model`` for a name; which provider may depend on the keys there are."""
        prefix, slash, rest = name.partition("/")
        if slash and prefix in ("offline", "sim"):
            return name
        if name.startswith(_ROUTE):
            raise UnknownModel(
                f"{name!r} is a route: what it costs depends on the model that it chooses",
                hint=f"%route explain TEXT --route {rest} tells which model that is",
            )
        named = self._providers.get(prefix) if slash and rest else None
        if named is not None and not self._is_routed(named):
            return name
        default = self._default()
        if default is not None:
            return f"{default.name}/{name}"
        if self._settings.provider == "auto":
            if slash:
                raise self._unknown(name)
            openai = self._providers["openai"]
            if self._has_key(openai.key_env):
                return f"openai/{name}"
        full = f"sim/{name}"
        if full not in self._targets and self._simulated_price(full, name) is None:
            raise self._unknown(name)
        return full

    def _default(self) -> Provider | None:
        """Return the provider that bare names go to, where that does not depend on keys."""
        if self._settings.provider == "auto":
            return self._upstream
        return self._providers.get(self._settings.provider)

    def _is_routed(self, named: Provider) -> bool:
        """Whether ``provider/model`` is what the default provider calls one of its models.

        Routers and servers of open models have such names. It is taken for one where nobody could
        call the provider named, because there is no key for it.
        """
        default = self._default()
        if default is None or named.name in (default.name, *self._settings.providers):
            return False
        return not named.free and not self._has_key(named.key_env)

    def _own_upstream(self, url: str) -> Provider:
        """Return the provider behind the person's own base URL."""
        for provider in self._providers.values():
            if provider.base_url == url and provider.name in self._settings.providers:
                return provider
        openai = self._providers["openai"]
        if openai.base_url == url:
            return openai
        # Its prices are those of whoever is behind the URL, OpenAI's if that is not known.
        return replace(openai, base_url=url, prices="", limit_field=None)

    # ---- targets ------------------------------------------------------------------------------

    def _build(self, full: str) -> Target:
        prefix, _, model = full.partition("/")
        if prefix == "offline":
            if full not in (OFFLINE, OFFLINE_EMBED):
                raise self._unknown(full)
            return Target(full, prefix, model, FreePrice("offline"), "simulated")
        if prefix == "sim":
            return self._simulated(full, model)
        provider = self._providers[prefix]
        if self._upstream is not None and self._upstream.name == prefix:
            provider = self._upstream
        return Target(
            full,
            prefix,
            model,
            self._price(full, provider, model),
            base_url=provider.base_url,
            key_env=provider.key_env,
            headers=provider.headers,
            limit_field=provider.limit_for(model),
            timeout_s=provider.timeout_s or self._settings.timeout_s,
        )

    def _simulated(self, full: str, model: str) -> Target:
        model = self._unaliased(model).removeprefix("sim/")
        if not model or model.startswith("offline/"):
            raise self._unknown(full)
        price = self._simulated_price(full, model)
        if price is None:
            raise self._unpriced(model)
        return Target(f"sim/{model}", "sim", model, price, "simulated")

    def _simulated_price(self, full: str, model: str) -> Price | None:
        return self._own_price(full, model) or self._listed_anywhere(model)

    def _price(self, full: str, provider: Provider, model: str) -> Price:
        price = self._own_price(full, model)
        if price is not None:
            return price
        if provider.free:
            return FreePrice(f"free: {provider.name}")
        price = self._listed(provider, model)
        if price is None:
            raise self._unpriced(full, provider)
        return price

    def _own_price(self, full: str, model: str) -> Price | None:
        bare = model.rpartition("/")[2]
        return next((self._prices[n] for n in (full, model, bare) if n in self._prices), None)

    def _listed(self, provider: Provider, model: str) -> Price | None:
        """Return the price that genai-prices lists for a provider's model."""
        listed = _list_of(provider)
        if not listed:
            return None
        if pricelist.is_listed_free(listed, model):
            return FreePrice(data_version())
        price = pricelist.find_price(listed, model)
        maker, slash, rest = model.partition("/")
        if price is None and slash and pricelist.known_provider(maker):
            return pricelist.find_price(maker, rest)  # a router's name for another's model
        return price

    def _listed_anywhere(self, model: str) -> Price | None:
        prefix, slash, rest = model.partition("/")
        if slash:
            provider = self._providers.get(prefix)
            if provider is not None and provider.free:
                return FreePrice(f"free: {prefix}")
            if provider is not None and (price := self._listed(provider, rest)) is not None:
                return price
            if provider is None and pricelist.known_provider(prefix):
                return pricelist.find_price(prefix, rest)
        return pricelist.find_price("", model)

    # ---- refusals -----------------------------------------------------------------------------

    def _unknown(self, name: str) -> UnknownModel:
        _, slash, rest = name.partition("/")
        known = self.models()
        if slash and rest:
            known += [full for each in self._providers if (full := f"{each}/{rest}") != name]
        return UnknownModel(
            f"No alias, provider or price list knows the model {name!r}"
            f"{nearest(name.lower(), known)}",
            hint="Use provider/model, sim/model or offline/extractive, set a provider's key, or "
            f"add to llmops.toml an alias, a provider, or a price in USD per 1M tokens:\n"
            f"{_price_lines(name)}",
        )

    def _unpriced(self, name: str, provider: Provider | None = None) -> UnknownPrice:
        listed = _list_of(provider) if provider else ""
        model = name.partition("/")[2] if provider else name
        hint = f"Add to llmops.toml, in USD per 1M tokens:\n{_price_lines(name)}"
        if provider is not None and is_loopback(provider.base_url):
            hint += (
                "\nor, if the server's models cost nothing:\n"
                f'[providers.local]\nbase_url = "{provider.base_url}"\nfree = true'
            )
        return UnknownPrice(
            f"The price of {name!r} is unknown, so its cost cannot be bounded",
            detail=pricelist.suggest(model, listed).strip(" ()"),
            hint=hint,
        )


def _list_of(provider: Provider) -> str:
    """Return genai-prices' id of a provider, or ""."""
    listed = provider.prices or pricelist.find_provider(provider.base_url)
    if not listed and pricelist.known_provider(provider.name):
        return provider.name
    return listed


def _price_lines(name: str) -> str:
    return f"[prices.{json.dumps(name, ensure_ascii=False)}]\ninput = ...\noutput = ..."


def _checked(name: str) -> str:
    if not isinstance(name, str) or not (name := name.strip()):
        raise BadRequest("model must be a non-empty string", param="model")
    if len(name) > _LONGEST_NAME:
        raise BadRequest("The model's name is too long", param="model")
    if not name.isprintable():
        raise BadRequest("The model's name has characters that cannot be shown", param="model")
    return name
