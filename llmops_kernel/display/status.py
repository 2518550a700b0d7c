"""Key-value pages and lists of checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from llmops_kernel.display.mime import View, view
from llmops_kernel.display.money import UNKNOWN
from llmops_kernel.display.table import table


class CheckLike(Protocol):
    """The result of one check."""

    @property
    def name(self) -> str:
        """What was checked."""

    @property
    def state(self) -> str:
        """``ok``, ``warn`` or ``fail``."""

    @property
    def detail(self) -> str:
        """What was found."""

    @property
    def hint(self) -> str:
        """What to do about it."""


def status_view(facts: Mapping[str, Any], *, caption: str = "llmops") -> View:
    """Build a page of names and values; nested names are joined with dots.

    Args:
        facts: JSON-like values. Secrets must have been masked: whatever is here is shown.
        caption: What the page is about.
    """
    html, plain = table(("Name", "Value"), list(_rows(facts)), caption)
    return view(html, plain, facts)


def checks_view(checks: Sequence[CheckLike], *, caption: str = "llmops doctor") -> View:
    """Build the list of checks, each with its state as a word, and a count of the states."""
    rows = [(check.name, check.state, check.detail, check.hint) for check in checks]
    states = [check.state for check in checks]
    tally = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    html, plain = table(
        ("Check", "State", "Found", "What to do"), rows, f"{caption}: {tally}" if tally else caption
    )
    facts = [
        {"name": name, "state": state, "detail": detail, "hint": hint}
        for name, state, detail, hint in rows
    ]
    return view(html, plain, {"checks": facts})


def _rows(facts: Mapping[str, Any], prefix: str = "", depth: int = 0) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and depth < 5:
            rows.extend(_rows(value, f"{name}.", depth + 1))
        elif _nested(value) and depth < 5:
            numbered = {str(number): item for number, item in enumerate(value, 1)}
            rows.extend(_rows(numbered, f"{name}.", depth + 1))
        else:
            rows.append((name, _value(value)))
    return rows


def _nested(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value)


def _value(value: Any) -> str:
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or UNKNOWN
    return str(value)
