"""One typed Settings, read from four places.

Later ones win: the defaults below, ``llmops.toml`` (``LLMOPS_CONFIG``, or the nearest one upwards
of the working folder), ``LLMOPS_*`` variables, then arguments and ``%config``. Every value is
checked, unknown names are refused with the nearest match, and no secret lives here: keys come from
the environment or the system's key store, by the *name* a provider's ``key_env`` gives.
"""

from __future__ import annotations

import getpass
import os
import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from llmops_kernel.configured import configured
from llmops_kernel.errors import SettingsError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

Scope = Literal["user", "project", "notebook", "run", "model", "tenant"]
Window = Literal["hour", "day", "month", "total"]
Book = Literal["real", "simulated"]

_PREFIX = "LLMOPS_"
# Variables with the prefix that are read elsewhere and are no settings.
# JSON list of texts that the record must not show: a run's secret parameters, for its kernel.
HIDDEN = "LLMOPS_HIDDEN"
_NOT_SETTINGS = {
    "LLMOPS_CLOCK",
    "LLMOPS_CONFIG",
    "LLMOPS_DATA",
    "LLMOPS_ENVS",
    "LLMOPS_HOME",
    "LLMOPS_LLAMA_SERVER",
    HIDDEN,
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cap(_Frozen):
    """An upper bound on what may be spent in one scope and window.

    The same number bounds real and simulated dollars, each in a book of its own.

    Attributes:
        scope: Whose spending is added up.
        window: The calendar window; a new one starts from zero. ``total`` never ends.
        usd: The bound in US dollars (0 forbids all spending; free models still pass).
        key: One value of the scope (a model's name, a user); None gives every value its own cap.
        alert: Percentages of the bound at which somebody is told, once per window.
        notify: Where alerts go: ``https://...`` (JSON), ``mailto:...`` or an Apprise URL.
    """

    scope: Scope
    window: Window
    usd: Annotated[Decimal, Field(ge=0, max_digits=15)]
    key: str | None = None
    alert: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (50, 80, 95, 100)
    notify: tuple[str, ...] = ()

    @field_validator("usd", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        # 0.05 means five cents, not the nearest binary fraction.
        return str(value) if isinstance(value, float) else value


class ProviderSettings(_Frozen):
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
    headers: dict[str, str] = {}
    timeout_s: Annotated[float, Field(gt=0)] | None = None


class PriceSettings(_Frozen):
    """A price in USD per million tokens, for a model that genai-prices does not know."""

    input: Annotated[Decimal, Field(ge=0)]
    output: Annotated[Decimal, Field(ge=0)]
    cached_input: Annotated[Decimal, Field(ge=0)] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    confirm: bool = False


class BreakerSettings(_Frozen):
    """Limits of the loop breaker; 0 switches a limit off.

    Attributes:
        calls_per_cell: Model calls one execution of a cell may make.
        calls_per_run: Model calls one run (a kernel's life, or a papermill run) may make.
        depth: How deep calls may nest (an agent that calls an agent).
        identical: Identical requests one execution of a cell may make.
        cycles: How often a tool loop may repeat the same cycle of 1 to 4 rounds.
        turns: Rounds one growing conversation may take within a cell.
        growth_tokens: Input tokens one growing conversation may add up to within a cell.
        usd_per_minute: Speed of spending, per book.
    """

    calls_per_cell: Annotated[int, Field(ge=0)] = 1_000
    calls_per_run: Annotated[int, Field(ge=0)] = 10_000
    depth: Annotated[int, Field(ge=0)] = 8
    identical: Annotated[int, Field(ge=0)] = 100
    cycles: Annotated[int, Field(ge=0)] = 3
    turns: Annotated[int, Field(ge=0)] = 60
    growth_tokens: Annotated[int, Field(ge=0)] = 2_000_000
    usd_per_minute: Annotated[Decimal, Field(ge=0)] = Decimal(5)


class CacheSettings(_Frozen):
    """What is answered from cache, and where the answers are kept.

    Attributes:
        mode: ``exact`` serves a repeated request the recorded answer of the first; ``off`` does
            not.
        near: After an exact miss, also serve a deterministic request the answer to the same
            question in other manners: greetings, case, punctuation and slips of the keys may
            differ; numbers, names, negation and every other word must agree.
        simulated: Serve offline and simulated models from the cache too. Off, because exercises
            count on every simulated call being made and charged.
        sampled: Serve requests whose answer is drawn at random (a temperature other than 0, or
            none given, and no seed) too: repeats then get the first draw.
        url: Where the answers are: empty for the record, or ``redis://HOST:PORT/DATABASE``.
        ttl_s: Seconds an answer may be served; a call can ask for less, never for more.
        max_entries: Answers kept; beyond it the ones not used for longest go.
        max_bytes: Bytes all answers may have together.
        max_entry_bytes: Bytes beyond which one answer is not kept.
        wait_s: Seconds to wait for an identical request that is on its way, before going alone.
        salt: Part of every key: change it when a policy changes, and no older answer is served.
        secret_env: Name of the variable with the team's secret, which seals the answers. Who has
            another secret sees other answers; empty keeps a secret of its own beside the record.
        semantic: ``margin`` also serves re-wordings, from the day on that enough judged evidence
            of their own partition keeps its errors per hit to ``target``; ``off`` does not.
        target: Bound on errors per hit (upper end of the 95 % interval) of the tiers that serve
            one text's answer for another; a tier that breaks it switches itself off.
        min_judged: Judged lookups a partition needs before it may serve re-wordings.
        min_wordings: Wordings an answer needs before it is served for another one.
        numpy_entries: Texts of a partition that are compared in this process, about 77 MB for
            50,000; beyond it a PostgreSQL record with the ``vector`` extension compares them.
        strict: Also ask the built-in verifier about questions that the near-verbatim tier turned
            down. It serves few more, and only where every word that decides is the same.
        audit_share: Share of those hits that are drawn to be judged.
        judge: Model that compares two answers; empty compares their texts only, at no cost.
        judge_usd: Dollars a day for judges and for the fresh answers of audits; 0 leaves drawn hits
            for people.
    """

    mode: Literal["off", "exact"] = "exact"
    near: bool = True
    semantic: Literal["off", "margin"] = "off"
    target: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_judged: Annotated[int, Field(gt=0)] = 1_000
    min_wordings: Annotated[int, Field(gt=1)] = 10
    numpy_entries: Annotated[int, Field(gt=0)] = 50_000
    strict: bool = False
    audit_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    judge: str = ""
    judge_usd: Annotated[Decimal, Field(ge=0)] = Decimal(0)
    simulated: bool = False
    sampled: bool = False
    url: str = ""
    ttl_s: Annotated[float, Field(gt=0)] = 7 * 86_400.0
    max_entries: Annotated[int, Field(gt=0)] = 50_000
    max_bytes: Annotated[int, Field(gt=0)] = 256 * 1024 * 1024
    max_entry_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024
    wait_s: Annotated[float, Field(gt=0)] = 120.0
    salt: str = ""
    secret_env: str = ""


class RuleSettings(_Frozen):
    """One rule of a route: where every condition that is given holds, the model is chosen.

    Attributes:
        model: A model, an alias or another route (``route/NAME``).
        purpose: What the call is for: ``ask``, ``rag``, ``judge``, ``agent`` or ``external``.
        tenant: Whose call it is; one of these.
        user: Who calls; one of these.
        min_tokens: Input tokens at least (counted as for prices that are not known exactly).
        max_tokens: Input tokens at most.
        min_messages: Messages at least: what came before counts.
        tools: Whether tools are offered.
        structured: Whether JSON is asked for.
        images: Whether there are images or sound.
        pattern: A regular expression that is searched for in the last text of the user, without
            regard to case.
    """

    model: Annotated[str, Field(min_length=1)]
    purpose: tuple[Literal["ask", "rag", "judge", "agent", "external"], ...] = ()
    tenant: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    min_messages: Annotated[int, Field(ge=1)] | None = None
    tools: bool | None = None
    structured: bool | None = None
    images: bool | None = None
    pattern: str = ""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return value


class RouteSettings(_Frozen):
    """How calls to ``route/NAME`` find their model.

    Attributes:
        kind: ``rules`` takes the first rule that holds; ``cascade`` asks the cheapest model and
            goes on to the next where a check does not hold; ``fallback`` goes on where a provider
            fails; ``learned`` and ``intent`` decide by what `llmops route learn` has found.
        model: The model where no rule holds.
        rules: The rules, in order.
        models: The models of a cascade or a fallback, in order.
        small: The model for what is simple, in place of what was learned with.
        large: The model for everything else, likewise.
        checks: What an answer of a cascade must hold, such as ``refusal``, ``json``, ``length:20``,
            ``support:0.5``, ``logprob:-0.7``, ``agreement:0.6``.
        file: Where a learned route is, if not among the user's own data.
    """

    kind: Literal["rules", "cascade", "fallback", "learned", "intent"]
    model: str = ""
    rules: tuple[RuleSettings, ...] = ()
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    small: str = ""
    large: str = ""
    checks: tuple[str, ...] = ("finished", "refusal", "json", "length:1")
    file: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "rules" and not self.model:
            raise ValueError("a route of rules needs model, for calls that no rule is about")
        if self.kind in ("cascade", "fallback") and len(self.models) < 2:
            raise ValueError(f"a {self.kind} needs models: two or more, the first one first")
        if len(set(self.models)) < len(self.models):
            raise ValueError("a model stands in models twice")
        return self


def data_home() -> Path:
    """Return the folder of the durable record (``LLMOPS_HOME`` or the user's data folder)."""
    home = os.environ.get("LLMOPS_HOME")
    return Path(home).expanduser() if home else user_data_path("llmops")


def _default_store() -> str:
    return f"sqlite:///{data_home() / 'llmops.db'}"


def _default_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a passwd entry
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "unknown"


class Settings(_Frozen):
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
    routes: dict[str, RouteSettings] = {}
    aliases: dict[str, str] = {}
    providers: dict[str, ProviderSettings] = {}
    prices: dict[str, PriceSettings] = {}
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
        path = _find_file(folder or Path.cwd(), environ)
        values = _read_file(path) if path else {}
        _merge(values, _from_environ(environ))
        _merge(values, configured)
        _merge(values, dict(overrides or {}))
        return _build(values, str(path) if path else "the settings")

    def with_(self, **changes: Any) -> Settings:
        """Return a changed copy, checked like everything else (raises `SettingsError`)."""
        return _build({**self.model_dump(exclude_unset=True), **changes}, "the arguments")


def _find_file(folder: Path, environ: Mapping[str, str]) -> Path | None:
    if named := environ.get("LLMOPS_CONFIG"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise SettingsError("LLMOPS_CONFIG names a file that does not exist", detail=str(path))
        return path
    candidates = (parent / "llmops.toml" for parent in (folder, *folder.parents))
    return next((path for path in candidates if path.is_file()), None)


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            "llmops.toml cannot be read", detail=f"{path}: {error}", hint="Fix or remove the file"
        ) from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """Turn ``LLMOPS_BREAKER__CALLS_PER_CELL=9`` into ``{"breaker": {"calls_per_cell": "9"}}``."""
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS or not text:
            continue
        head, *rest = name.removeprefix(_PREFIX).lower().split("__")
        if head not in Settings.model_fields:
            # A misspelt cap must not leave a run uncapped; a foreign variable is none of ours.
            if suggestion := nearest(head, Settings.model_fields):
                raise SettingsError(
                    f"{name} is not a setting{suggestion}", hint="Rename or unset it"
                )
            continue
        value: Any = _parse_json(name, text) if text[:1] in "[{" else text
        for key in reversed(rest):
            value = {key: value}
        _merge(values, {head: value})
    return values


def _parse_json(name: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{name} is not valid JSON", detail=str(error)) from error


def _merge(base: dict[str, Any], top: dict[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


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
    rooms: dict[str, type[BaseModel]] = {
        "caps": Cap,
        "breaker": BreakerSettings,
        "cache": CacheSettings,
        "routes": RouteSettings,
        "providers": ProviderSettings,
        "prices": PriceSettings,
    }
    room = rooms.get(str(loc[0]), Settings) if len(loc) > 1 else Settings
    return list(room.model_fields)
