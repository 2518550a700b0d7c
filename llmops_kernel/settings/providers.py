"""Where calls go and what they cost, for what is not known by name."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from llmops_kernel.settings.base import Frozen

_Usd = Annotated[Decimal, Field(ge=0)]


class ProviderSettings(Frozen):
    """An OpenAI-compatible upstream.

    Attributes:
        base_url: The URL that ``/chat/completions`` is appended to.
        key_env: Name of the variable that holds the key; empty for servers without keys.
        free: True for models on your own hardware: their price is zero.
        prices: The provider id of genai-prices to look prices up under, if it differs.
        headers: Further headers for each request (no secrets: name variables as ``$NAME``).
        timeout_s: Seconds without a byte from the provider after which a call is given up.
    """

    base_url: str
    key_env: str = ""
    free: bool = False
    prices: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeout_s: Annotated[float, Field(gt=0)] | None = None


class PriceSettings(Frozen):
    """A price in USD per million tokens, for a model that genai-prices does not know."""

    input: _Usd
    output: _Usd
    cached_input: _Usd | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    confirm: bool = False
