"""Finding JSON in what a model wrote."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

from llmops_kernel.prompts.cot import split_thinking

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[^`]*")
# A string (skipped whole), or a comma with nothing but space before a closing bracket.
_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))|,(?=\s*[}\]])', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
# What a parser stumbles over at the end of JSON that breaks off: nothing, or part of a word, of a
# number or of an escape.
_UNFINISHED = re.compile(
    r"|-|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|\.|[eE][+-]?|\\?u?[0-9a-fA-F]{0,4}"
)
_START = re.compile(r"[{\[]")
_MAX_STARTS = 50  # places in prose where JSON is looked for
_MAX_CHARS = 2_000_000


@dataclass(frozen=True, slots=True)
class Extracted:
    """The JSON values found in a text.

    Attributes:
        values: Candidates, the likeliest first; what comes last in a text is likelier.
        problem: Why there is none.
    """

    values: tuple[Any, ...]
    problem: str = ""


def extract_json(text: str) -> Extracted:
    """Find JSON in a reply: alone, in a code fence, or within prose.

    Trailing commas are forgiven, NaN and Infinity are not. JSON that breaks off is no candidate,
    and neither are the whole values inside of it.
    """
    _, text = split_thinking(text[:_MAX_CHARS])
    text = text.strip()
    if not text:
        return Extracted((), "the reply is empty")
    whole, problem = _load(text)
    if not problem:
        return Extracted((whole,))
    fenced = [_load(body) for body in _fences(text)]
    if values := [value for value, wrong in reversed(fenced) if not wrong]:
        return Extracted(tuple(values))
    values, cut = _scan(text)
    if cut:
        return Extracted((), "the JSON breaks off before its end")
    if values:
        return Extracted(tuple(reversed(values)))
    if (start := _START.search(text)) is None:
        return Extracted((), "the reply holds no JSON")
    if text[0] not in "{[":
        problem = _load(text[start.start() :])[1]
    return Extracted((), f"the JSON cannot be read: {problem}")


def _fences(text: str) -> list[str]:
    """Return what stands in closed code fences, the last 20 of them."""
    bodies: list[str] = []
    lines = text.split("\n")
    opened = -1
    mark = ""
    for number, line in enumerate(lines):
        if opened < 0:
            if match := _FENCE.fullmatch(line):
                opened, mark = number, match[1]
        elif line.strip() == mark:
            bodies.append("\n".join(lines[opened + 1 : number]).strip())
            opened = -1
    return bodies[-20:]


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if isfinite(number) else _refuse(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _load(text: str) -> tuple[Any, str]:
    """Return a value and what is wrong ("" when it could be read)."""
    try:
        return _whole(_DECODER.decode(text), text), ""
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        problem = str(error)
    if (mended := _TRAILING_COMMA.sub(r"\1", text)) != text:
        try:
            return _whole(_DECODER.decode(mended), mended), ""
        except (ValueError, RecursionError):
            pass  # the first problem is the one in the text the model wrote
    return None, problem


def _scan(text: str) -> tuple[list[Any], bool]:
    """Return the values in prose, in order, and whether the last one breaks off."""
    text = _TRAILING_COMMA.sub(r"\1", text)
    values: list[Any] = []
    position = 0
    for _ in range(_MAX_STARTS):
        match = _START.search(text, position)
        if match is None:
            break
        try:
            value, position = _DECODER.raw_decode(text, match.start())
            values.append(_whole(value, text))
        except json.JSONDecodeError as error:
            if _broke_off(error, text):
                return values, not values
            position = match.start() + 1
        except (ValueError, RecursionError):
            position = match.start() + 1
    return values, False


def _whole(value: Any, text: str) -> Any:
    """Replace halves of surrogate pairs, which no store or front end can take."""
    if not _SURROGATE.search(text):
        return value
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(item, text) for item in value]
    if isinstance(value, dict):
        return {_whole(key, text): _whole(item, text) for key, item in value.items()}
    return value


def _broke_off(error: json.JSONDecodeError, text: str) -> bool:
    if error.msg.startswith("Unterminated string"):
        return True
    return _UNFINISHED.fullmatch(text.rstrip(), min(error.pos, len(text.rstrip()))) is not None
