"""Values given on the command line."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from llmops_kernel.errors import UsageProblem

_WORDS = {"True": True, "False": False, "None": None}
# Not 007: what begins with zeros is a name, or octal to some.
_NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def amount(text: str, flag: str) -> Decimal:
    """Read dollars, zero or more.

    Raises:
        UsageProblem: It is no such amount.
    """
    try:
        value = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise UsageProblem(f"{flag} is not an amount of dollars", detail=f"got {text!r}",
                           hint=f"{flag} 0.50")  # fmt: skip
    return value


def parameters(given: list[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs.

    Raises:
        UsageProblem: One has another form, or a key was given twice.
    """
    values: dict[str, Any] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            # The pair may hold a secret: say no more of it than its name.
            raise UsageProblem("-p takes NAME=VALUE", hint="-p seed=7 -p question='Why?'")
        if name in values:
            raise UsageProblem(f"The parameter {name!r} was given twice", hint="Give it once")
        values[name] = value_of(text)
    return values


def value_of(text: str) -> Any:
    """Read a value as papermill does, and JSON: numbers, true/True, null/None, lists, objects.

    Whatever is none of these is text; quote it (``'"7"'``) to have a text that looks like one.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text in ("NaN", "Infinity", "-Infinity"):  # json would take these for numbers
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    if _NUMBER.fullmatch(text):  # .5 and 1. and +3 are numbers to Python, not to JSON
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return text
