"""Where values come from: the folder of the record, ``llmops.toml``, ``LLMOPS_*`` variables."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_data_path

from llmops_kernel.errors import SettingsError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PREFIX = "LLMOPS_"
# JSON list of texts that the record must not show: a run's secret parameters, for its kernel.
HIDDEN = "LLMOPS_HIDDEN"
# Variables with the prefix that are read elsewhere and are no settings.
_NOT_SETTINGS = {
    "LLMOPS_CLOCK",
    "LLMOPS_CONFIG",
    "LLMOPS_DATA",
    "LLMOPS_ENVS",
    "LLMOPS_HOME",
    "LLMOPS_LLAMA_SERVER",
    HIDDEN,
}


def data_home() -> Path:
    """Return the folder of the durable record (``LLMOPS_HOME`` or the user's data folder)."""
    home = os.environ.get("LLMOPS_HOME")
    return Path(home).expanduser() if home else user_data_path("llmops")


def find_file(folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the file of settings: the one ``LLMOPS_CONFIG`` names, or the nearest one upwards.

    Raises:
        SettingsError: The one that is named does not exist.
    """
    if named := environ.get("LLMOPS_CONFIG"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise SettingsError("LLMOPS_CONFIG names a file that does not exist", detail=str(path))
        return path
    candidates = (parent / "llmops.toml" for parent in (folder, *folder.parents))
    return next((path for path in candidates if path.is_file()), None)


def read_file(path: Path) -> dict[str, Any]:
    """Return the values of a file (raises `SettingsError` if it cannot be read)."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            "llmops.toml cannot be read", detail=f"{path}: {error}", hint="Fix or remove the file"
        ) from error


def from_environ(environ: Mapping[str, str], known: Iterable[str]) -> dict[str, Any]:
    """Turn ``LLMOPS_BREAKER__CALLS_PER_CELL=9`` into ``{"breaker": {"calls_per_cell": "9"}}``.

    Args:
        environ: The environment.
        known: The names of all settings.

    Raises:
        SettingsError: A variable is close to a setting's name, or holds no valid JSON.
    """
    names = list(known)
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS or not text:
            continue
        head, *rest = name.removeprefix(_PREFIX).lower().split("__")
        if head not in names:
            # A misspelt cap must not leave a run uncapped; a foreign variable is none of ours.
            if suggestion := nearest(head, names):
                raise SettingsError(
                    f"{name} is not a setting{suggestion}", hint="Rename or unset it"
                )
            continue
        value: Any = _parse_json(name, text) if text[:1] in "[{" else text
        for key in reversed(rest):
            value = {key: value}
        merge(values, {head: value})
    return values


def _parse_json(name: str, text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{name} is not valid JSON", detail=str(error)) from error


def merge(base: dict[str, Any], top: dict[str, Any]) -> None:
    """Put values over others, name by name down to the last."""
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
