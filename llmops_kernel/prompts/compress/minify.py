"""Blank space and JSON that models do not need."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from llmops_kernel.prompts.compress.protect import frozen_spans

if TYPE_CHECKING:
    from collections.abc import Callable

_INNER = re.compile(r"(?<=\S)[ \t]{2,}(?=\S)")
_TAIL = re.compile(r"[ \t]+(?=\n)")
_BLANK = re.compile(r"\n{3,}")
_RULE = re.compile(r"^[ \t]*\|[ \t:|-]*-{2,}[ \t:|-]*\|[ \t]*$", re.MULTILINE)
_FENCED = re.compile(r"^```json[ \t]*\n(?P<body>.*?)\n```[ \t]*$", re.DOTALL | re.MULTILINE)
_BARE = re.compile(r"^[ \t]*(?=[\[{])", re.MULTILINE)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\s+|[^"\s]+')
_LEAST = 24  # characters of JSON that is worth it
_LONGEST = 400_000


def minify_blank(text: str) -> str:
    """Return a text without blank space at line ends, double spaces and double blank lines.

    Indentation stays (lists and YAML mean something by it), and so do code, quoted text and what a
    person marked.
    """
    text = text.replace("\r\n", "\n")
    text = _replaced(_RULE, _short_rule, text)
    text = _replaced(_TAIL, lambda _: "", text)
    text = _replaced(_INNER, lambda _: " ", text)
    text = _replaced(_BLANK, lambda _: "\n\n", text)
    return text.strip("\n").rstrip()


def _short_rule(found: re.Match[str]) -> str:
    return re.sub(r"-{3,}", "---", found[0].replace(" ", ""))


def _replaced(pattern: re.Pattern[str], change: Callable[[re.Match[str]], str], text: str) -> str:
    spans = frozen_spans(text)

    def one(found: re.Match[str]) -> str:
        start, end = found.span()
        is_frozen = any(first < end and start < last for first, last in spans)
        return found[0] if is_frozen else change(found)

    return pattern.sub(one, text)


def minify_json(text: str) -> str:
    """Return a text whose JSON objects and lists, bare or in ``json`` fences, have no blank space.

    Only blank space between tokens goes: numbers, strings and the order and repetition of keys stay
    as they were written.
    """
    spans: list[tuple[int, int, str]] = []
    for found in _FENCED.finditer(text):
        body = found["body"]
        if not _is_marked(text, found.start()) and _is_json(body):
            spans.append((*found.span("body"), compact(body)))
    taken = [*frozen_spans(text)]
    decoder = json.JSONDecoder()
    at = 0
    while (found_at := _BARE.search(text, at)) is not None:
        start = at = found_at.end()
        if any(first <= start < last for first, last in taken):
            at = start + 1
            continue
        try:
            value, end = decoder.raw_decode(text[start : start + _LONGEST])
        except (ValueError, RecursionError):
            at = start + 1
            continue
        at = start + max(end, 1)
        if isinstance(value, dict | list) and end >= _LEAST:
            spans.append((start, at, compact(text[start:at])))
    for start, end, short in sorted(spans, reverse=True):
        text = text[:start] + short + text[end:]
    return text


def compact(source: str) -> str:
    """Return JSON source without the blank space between its tokens."""
    return "".join(token for token in _TOKEN.findall(source) if not token.isspace())


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_marked(text: str, place: int) -> bool:
    before = text[:place].lower()
    return before.count("<keep>") > before.count("</keep>")
