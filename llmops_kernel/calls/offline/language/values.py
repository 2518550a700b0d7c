"""Finds typed values in text: amounts, dates, addresses, identifiers, names.

Every pattern is linear in the length of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from llmops_kernel.calls.offline.language.lexicon import NUMBER_WORDS, word_set

Kind = Literal[
    "money", "percent", "date", "time", "duration", "email", "url", "phone", "iban", "card",
    "identifier", "uuid", "ip", "number", "name", "quote", "expression",
]  # fmt: skip

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_CURRENCY = (
    r"(?:EUR|USD|GBP|CHF|JPY|SEK|NOK|DKK|PLN|CZK|HUF|CAD|AUD|NZD|INR|CNY|BRL|ZAR|TRY|SGD|HKD|"
    r"euros?|dollars?|pounds?|francs?|cents?|pence|yen|bucks)"
)
_AMOUNT = r"\d{1,3}(?:[,  ]\d{3}){1,4}(?:\.\d{1,4})?|\d{1,15}(?:[.,]\d{1,4})?"
_UNIT = (
    r"(?:(?:business|working|calendar|bank(?:ing)?|full)\s)?"
    r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|nights?|weeks?|months?|quarters?|years?|"
    r"decades?|centur(?:y|ies))"
)
_COUNT_WORD = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirty|sixty|ninety)"
)
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"

_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("uuid", re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")),
    ("url", re.compile(r"\bhttps?://[^\s<>\"')\]]{1,500}|\bwww\.[^\s<>\"')\]]{1,300}")),
    ("email", re.compile(r"\b[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}\b")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b")),
    ("card", re.compile(r"(?<![\w-])(?:\d{4}[ -]){3}\d{4}(?![\w-])|(?<![\w-])\d{15,16}(?![\w-])")),
    ("ip", re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")),
    (
        "date",
        re.compile(
            rf"(?<![\w-])\d{{4}}-\d{{1,2}}-\d{{1,2}}(?:T\d{{2}}:\d{{2}}(?::\d{{2}})?Z?)?(?![\w-])"
            rf"|\b\d{{1,2}}(?:st|nd|rd|th)?(?:\sof)?\s{_MONTH}\b\.?(?:,?\s\d{{4}})?"
            rf"|\b{_MONTH}\b\.?\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}}\b)?"
            rf"|\b{_MONTH}\s\d{{4}}\b"
            r"|(?<![\w.])\d{1,2}[./]\d{1,2}[./]\d{2,4}(?![\w.]*\d)"
            rf"|\b(?:yesterday|today|tomorrow|(?:last|next|this)\s(?:week|month|year|night"
            rf"|{_WEEKDAY}))\b"
            rf"|\b{_WEEKDAY}s?\b",
            re.IGNORECASE,
        ),
    ),
    (
        "time",
        re.compile(
            r"\b\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b\.?)?|\b\d{1,2}\s?[ap]m\b|\bnoon\b"
            r"|\bmidnight\b",
            re.IGNORECASE,
        ),
    ),
    (
        "percent",
        re.compile(rf"(?:{_AMOUNT})\s?(?:%|per\s?cent\b|percentage points?\b)", re.IGNORECASE),
    ),
    (
        "money",
        re.compile(
            rf"(?:[€$£¥₹]|\b(?:EUR|USD|GBP|CHF|JPY|SEK|NOK|DKK|PLN|CAD|AUD)\s)\s?(?:{_AMOUNT})"
            rf"(?:\s(?:thousand|million|billion|trillion)\b|[kKmM]\b)?"
            rf"|(?<![\w.,])(?:{_AMOUNT})\s?(?:(?:thousand|million|billion|trillion)\s)?"
            rf"(?:[€$£¥₹]|(?:US|Swiss|Canadian|Australian)?\s?{_CURRENCY}\b)",
            re.IGNORECASE,
        ),
    ),
    (
        "phone",
        re.compile(
            r"(?<![\w-])(?:\+\d{1,3}[ -]?)?\(?\d{2,4}\)?(?:[ -]\d{2,4}){2,4}(?![\w-])|\+\d{8,15}\b"
        ),
    ),
    (
        "duration",
        re.compile(
            rf"(?<![\w.])\d{{1,6}}(?:[.,]\d+)?(?:\s?(?:-|\u2013|to|or)\s?\d{{1,6}})?[\s-]{_UNIT}\b"
            rf"|\b{_COUNT_WORD}(?:\s(?:to|or)\s{_COUNT_WORD})?[\s-]{_UNIT}\b"
            rf"|\ban?\s(?:full\s)?{_UNIT}\b",
            re.IGNORECASE,
        ),
    ),
    (
        "expression",
        re.compile(
            r"(?<![\w.])[(\s]{0,4}\d[\d.]{0,15}\)?(?:\s{0,2}(?:\*\*"
            r"|[-+*/\u00d7÷^%])\s{0,2}\(?\d[\d.]{0,15}\)?){1,20}(?![\w])"
        ),
    ),
    (
        "identifier",
        re.compile(
            r"(?<!\w)#\s?[A-Za-z0-9][\w-]{0,40}"
            r"|\b(?=[A-Za-z_-]{0,12}\d)(?=[\d_-]{0,30}[A-Za-z])[A-Za-z0-9]{1,20}(?:[-_][A-Za-z0-9]{1,20}){1,5}\b"
            r"|\b[A-Z]{1,5}\d{2,20}[A-Z0-9]{0,10}\b|\b\d{2,12}[A-Z]{1,4}\d{0,12}\b"
            r"|(?<![\w.,])\d{6,30}(?![\w.,]\d)"
        ),
    ),
    (
        "number",
        re.compile(
            rf"(?<![\w.,])[-\u2212]?(?:{_AMOUNT})(?![\w])|\b(?:{'|'.join(NUMBER_WORDS)})\b",
            re.IGNORECASE,
        ),
    ),
)
_NAME = re.compile(
    r"\b(?:(?:Mr|Mrs|Ms|Dr|Prof|Sir)\.?\s)?[A-ZÀ-ÖØ-Þ][\w'\u2019&-]{1,30}"
    r"(?:\s(?:(?:of|the|de|van|von|der|da|di|del|la|le|and"
    r"|&)\s){0,2}[A-ZÀ-ÖØ-Þ][\w'\u2019&.-]{0,30}){0,4}"
)
_QUOTE = re.compile(
    r"\"([^\"\n]{1,200})\"|“([^”\n]{1,200})”|«([^»\n]{1,200})»|(?<!\w)'([^'\n]{2,120})'(?!\w)"
)
_NOT_NAMES = word_set("""
    i the a an this that these those he she it we they you my our your his her its their if when
    while after before once in on at by for from to with as and but or so because since although
    however please hello hi hey dear thanks thank yes no not what which who where why how do does
    did can could will would should is are was were am have has had there here all any some each
    every both most many more question answer context document source text input output note
    today yesterday tomorrow monday tuesday wednesday thursday friday saturday sunday january
    february march april may june july august september october november december also then now
    just only let see our nobody everyone regards sincerely best kind sent subject re fwd i'm i've
    i'd i'll it's that's don't can't eur usd gbp chf ok asap sms pin iban atm app id faq pdf url
    """)
_LONGEST = 40_000
_WITHOUT_DIGITS = frozenset({"url", "email", "date", "time", "duration", "number"})
_MARKS: dict[Kind, tuple[str, ...]] = {
    "url": ("://", "www."),
    "email": ("@",),
    "uuid": ("-",),
    "percent": ("%", "cent"),
}


@dataclass(frozen=True, slots=True)
class Value:
    """One typed value; ``text`` is as written, ``start`` and ``end`` its place."""

    kind: Kind
    text: str
    start: int
    end: int


def find_values(text: str, kinds: frozenset[Kind] | None = None) -> list[Value]:
    """Return the values in a text, in order and without overlaps (the first 40,000 characters).

    An amount wins over its number, a date over its parts; ``kinds`` restricts what is returned,
    not what is recognised.
    """
    text = text[:_LONGEST]
    taken = bytearray(len(text) + 1)
    found: list[Value] = []
    has_digit = any(ch in text for ch in "0123456789")
    for kind, pattern in _PATTERNS:
        if not has_digit and kind not in _WITHOUT_DIGITS:
            continue
        if kind in _MARKS and not any(mark in text for mark in _MARKS[kind]):
            continue
        for match in pattern.finditer(text):
            start, end = match.span()
            if end == start or taken.find(1, start, end) >= 0:
                continue
            written = text[start:end].strip().rstrip(".,;:!?") if kind == "url" else match.group()
            if kind == "card" and not _passes_luhn(written):
                continue
            taken[start:end] = b"\x01" * (end - start)
            if kinds is None or kind in kinds:
                found.append(Value(kind, written.strip(), start, end))
    if kinds is None or "quote" in kinds:
        found.extend(_quotes(text))
    if kinds is None or "name" in kinds:
        found.extend(_names(text, taken))
    found.sort(key=lambda value: (value.start, value.end))
    return found


def _passes_luhn(written: str) -> bool:
    digits = [int(ch) for ch in written if ch.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0


def _quotes(text: str) -> list[Value]:
    found = []
    for match in _QUOTE.finditer(text):
        inner = next(group for group in match.groups() if group is not None)
        found.append(Value("quote", inner.strip(), match.start(), match.end()))
    return found


def _names(text: str, taken: bytearray) -> list[Value]:
    """Find runs of capitalised words, less the ones that are capitalised for their place."""
    found: list[Value] = []
    doubtful: list[Value] = []
    for match in _NAME.finditer(text):
        start, end = match.span()
        parts = match.group().split()
        while parts and parts[0].lower().rstrip(".") in _NOT_NAMES:
            start += len(parts[0])
            start += len(text[start:end]) - len(text[start:end].lstrip())
            parts.pop(0)
        while parts and parts[-1].lower().strip(".'\u2019") in _NOT_NAMES:
            parts.pop()
        if not parts:
            continue
        name = re.sub(r"['\u2019]s$", "", " ".join(parts)).rstrip(".'\u2019-")
        if len(name) < 2 or taken.find(1, start, start + len(name)) >= 0:
            continue
        value = Value("name", name, start, start + len(name))
        single = len(parts) == 1 and start == match.start() and _begins_sentence(text, start)
        (doubtful if single else found).append(value)
    # "Hertz charged me": one capital at a sentence's start is a name if it is one elsewhere.
    certain = {part for value in found for part in value.text.split()}
    found.extend(value for value in doubtful if value.text in certain)
    return found


def _begins_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 3) : start].rstrip(" \t\"“'(*-•#>")
    return not before or before[-1] in ".!?:\n|"
