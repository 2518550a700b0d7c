"""Front matter: what a Markdown file says about itself before its text."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmops_kernel.rag.documents import Value

_FRONT = re.compile(
    r"\s*(---|\+\+\+)[ \t]*\n(.*?)^(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE
)
_LONGEST = 20_000  # characters of front matter
_MOST = 100  # facts
_LONGEST_VALUE = 1_000  # characters


def split_front(text: str) -> tuple[dict[str, Value], str]:
    """Return the front matter as flat facts, and the text after it.

    YAML between ``---`` and TOML between ``+++``. What is none of them stays in the text.
    """
    match = _FRONT.match(text[:_LONGEST])
    if match is None:
        return {}, text
    loaded = _load(match[1], match[2])
    if not isinstance(loaded, dict):
        return {}, text
    return flatten(loaded), text[match.end() :]


def flatten(facts: Mapping[Any, Any]) -> dict[str, Value]:
    """Return nested facts as flat ones: ``a.b`` for b in a, lists joined by ", ".

    Dates become ISO 8601, empty values go. At most 100 facts of 1,000 characters are kept.
    """
    flat: dict[str, Value] = {}
    for name, value in _walk(facts, "", 0):
        if len(flat) == _MOST:
            break
        flat[name] = value
    return flat


def _load(mark: str, text: str) -> object:
    if mark == "+++":
        import tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return None
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date like 2024-13-45
        return None


def _walk(facts: Mapping[Any, Any], above: str, depth: int) -> Iterator[tuple[str, Value]]:
    for key, value in facts.items():
        name = f"{above}{'_'.join(str(key).split())}"
        if isinstance(value, Mapping):
            if depth < 5:
                yield from _walk(value, f"{name}.", depth + 1)
            continue
        flat = _flat(value)
        if flat is not None and flat != "":
            yield name, flat


def _flat(value: object) -> Value | None:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, list | tuple | set):
        items = sorted(value, key=str) if isinstance(value, set) else list(value)
        parts = [_flat(item) for item in items[:_MOST] if not isinstance(item, list | dict)]
        return ", ".join(str(part) for part in parts if part is not None)[:_LONGEST_VALUE]
    return None if value is None else str(value)[:_LONGEST_VALUE]
