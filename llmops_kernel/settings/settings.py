"""All settings in one object, checked as they are read."""

from __future__ import annotations

import getpass
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from llmops_kernel.configured import configured
from llmops_kernel.errors import SettingsError, nearest
from llmops_kernel.settings.base import Frozen
from llmops_kernel.settings.cache import CacheSettings
from llmops_kernel.settings.providers import PriceSettings, ProviderSettings
from llmops_kernel.settings.routes import RouteSettings
from llmops_kernel.settings.sources import data_home, find_file, from_environ, merge, read_file
from llmops_kernel.settings.spending import BreakerSettings, Cap

if TYPE_CHECKING:
    from collections.abc import Mapping


def _default_store() -> str:
    return f"sqlite:///{data_home() / 'llmops.db'}"


def _default_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


class Settings(Frozen):
    """Everything a session is built from; see `load` for where values come from."""

    model: str = "offline/extractive"
    provider: str = "auto"
    store: str = Field(default_factory=_default_store)
    user: str = Field(default_factory=_default_user)
    project: str = Field(default_factory=lambda: Path.cwd().name or "default")
    notebook: str = ""
    run_id: str = ""
    tenant: str = "default"
    timezone: str = "UTC"
    caps: tuple[Cap, ...] = (
        Cap(scope="user", window="day", usd=Decimal(5)),
        Cap(scope="user", window="month", usd=Decimal(50)),
    )
    run_budget_usd: Annotated[Decimal, Field(ge=0)] | None = None
    default_max_tokens: Annotated[int, Field(gt=0)] = 1_024
    min_tokens: Annotated[int, Field(gt=0)] = 16
    timeout_s: Annotated[float, Field(gt=0)] = 120.0
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    embedder: str = "builtin"
    vectors: str = "chroma"
    breaker: BreakerSettings = BreakerSettings()
    cache: CacheSettings = CacheSettings()
    routes: dict[str, RouteSettings] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=dict)
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)
    prices: dict[str, PriceSettings] = Field(default_factory=dict)
    static: bool = False
    capture: bool = True
    footer: bool = True
    tracebacks: Literal["short", "full"] = "short"

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}") from error
        return value

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, Any] | None = None,
        *,
        folder: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the settings.

        Args:
            overrides: Values that win over file and environment, by field name.
            folder: Where the search for ``llmops.toml`` starts (default: the working folder).
            environ: The environment (default: the process's own).

        Raises:
            SettingsError: A file cannot be read, a name is unknown or a value is wrong.
        """
        environ = os.environ if environ is None else environ
        path = find_file(folder or Path.cwd(), environ)
        values = read_file(path) if path else {}
        merge(values, from_environ(environ, cls.model_fields))
        merge(values, configured)
        merge(values, dict(overrides or {}))
        return _build(values, str(path) if path else "the settings")

    def with_(self, **changes: Any) -> Settings:
        """Return a changed copy, checked like everything else (raises `SettingsError`)."""
        return _build({**self.model_dump(exclude_unset=True), **changes}, "the arguments")


def _build(values: dict[str, Any], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _known_names(first["loc"])
            raise SettingsError(
                f"{place} is not a setting{nearest(str(first['loc'][-1]), known)}",
                hint=f"Correct or remove it in {source}",
            ) from error
        raise SettingsError(
            f"{place or 'A setting'} has a wrong value",
            detail=f"{first['msg']} (got {first['input']!r})",
            hint=f"Correct it in {source} or in the LLMOPS_ variable of that name",
        ) from error


def _known_names(loc: tuple[int | str, ...]) -> list[str]:
    rooms: dict[str, type[Frozen]] = {
        "caps": Cap,
        "breaker": BreakerSettings,
        "cache": CacheSettings,
        "routes": RouteSettings,
        "providers": ProviderSettings,
        "prices": PriceSettings,
    }
    room = rooms.get(str(loc[0]), Settings) if len(loc) > 1 else Settings
    return list(room.model_fields)
