"""Cutting a text into the marks that count: words, numbers, codes, signs and quoted spans."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from llmops_kernel.cache.semantic.verbatim.spelling import spelled_out

_TYPOGRAPHIC = str.maketrans(
    {
        "\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u00b4": "'",  # apostrophes
        "\u201c": '"', "\u201d": '"', "\u201e": '"',  # quotation marks
        "\u2013": "-", "\u2014": " - ", "\u2212": "-", "\u2026": "...",  # dashes, ellipsis
        "\u00a0": " ", "\u202f": " ", "\u200b": "", "\ufeff": "", "\u00ad": "",  # blanks
    }
)  # fmt: skip
_MARK = re.compile(
    r"""(?P<quoted>"[^"]+"|`[^`]+`|«[^»]+»|(?<![\w'])'(?=[^\s'])[^'\n]*?(?<=\S)'(?!\w))
    |(?P<address>(?:https?://|www\.)[^\s<>"]+|[\w.+%-]+@[\w-]+(?:\.[\w-]+)+|(?<!\S)[@#][A-Za-z]\w+)
    |(?P<code>(?:[A-Za-z]+[\d_]|\d+(?!(?:st|nd|rd|th|am|pm|k|m|km|kg|gb|mb|h|hrs?|mins?|days?|years?
       |usd|eur|gbp)\b)(?=[A-Za-z_])|[A-Za-z\d]+-\d+[A-Za-z]|[A-Za-z]+-\d)[\w]*(?:-\w+)*
       |(?<!\S)\.[A-Za-z]{2,}|[A-Za-z]\+\+|[A-Za-z]\#)
    |(?P<number>(?<![\w.])[-+]?\.?\d+(?:[.,:/-]\d+)*)
    |(?P<initials>(?:[A-Za-z]\.){2,}(?:[A-Za-z]\b)?)
    |(?P<short>\b[wW]/o\b|\b[wW]/(?=\s)|\b[bB]/c\b)
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
    |(?P<sign>[^\w\s])""",
    re.VERBOSE,
)
_DROPPED = frozenset(".,;:!?()[]-'\"~*_#•·¿¡`«»")
_SIGNS = {"&": "and", "€": "euros", "$": "dollars", "£": "£", "%": "%"}
_MONEY_WORDS = {"dollar": "dollars", "euro": "euros", "eur": "euros", "gbp": "£"}
_UPPER = {"US": "usa", "USA": "usa", "IT": "informationtechnology", "WHO": "worldhealthorg"}
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_SHOUTED = 0.6


@dataclass(frozen=True, slots=True)
class Token:
    """One mark.

    Attributes:
        text: In its one spelling; quoted spans, addresses and codes are verbatim.
        fixed: Whether a slip of the keys may not be forgiven in it: everything but plain words.
    """

    text: str
    fixed: bool = False


def tidied(text: str) -> str:
    """Return a text with plain quotes, dashes and blanks."""
    return text.translate(_TYPOGRAPHIC)


def digits_of(text: str) -> str:
    """Return every digit of a text, in order."""
    return "".join(char for char in text if char.isdigit())


def tokens_of(text: str) -> list[Token]:
    """Cut a tidied text into tokens."""
    cased = _casing_informs(text)
    tokens: list[Token] = []
    starts = True  # whether a capital here only opens a sentence
    for match in _MARK.finditer(text):
        kind, mark = match.lastgroup, match[0]
        if kind == "sign":
            tokens += _sign(mark)
            starts = mark in ".!?:;" or starts
            continue
        if kind in ("word", "short"):
            tokens += _word(mark, named=cased and not starts)
        elif kind == "number":
            tokens.append(Token(_number(mark), fixed=True))
        elif kind == "initials":
            joined = mark.replace(".", "")
            tokens += _word(joined if joined.isupper() else joined.lower(), named=False)
        else:
            tokens.append(Token(_verbatim(kind, mark), fixed=True))
        starts = False
    return _money(tokens)


def _casing_informs(text: str) -> bool:
    words = re.findall(r"[^\W\d_]{2,}", text)
    capital = sum(word[0].isupper() for word in words)
    return bool(words) and capital <= _SHOUTED * len(words)


def _word(mark: str, *, named: bool) -> list[Token]:
    if named and mark in _UPPER:
        return [Token(_UPPER[mark], fixed=True)]
    name = named and mark[0].isupper() and mark not in ("I", "I'm", "I've", "I'd", "I'll")
    if name and mark in ("A",):
        return [Token("lettera", fixed=True)]  # a grade, a plan, a vitamin; never the article
    return [Token(word, fixed=name) for word in spelled_out(mark.lower())]


def _number(mark: str) -> str:
    return _THOUSANDS.sub(lambda found: found[0].replace(",", ""), mark.removeprefix("+"))


def _verbatim(kind: str | None, mark: str) -> str:
    if kind == "quoted":
        return mark
    if kind == "address":
        return mark.rstrip(".,;:!?)")
    # Mixed case may be part of a code; one case throughout is only how it was typed.
    return (
        mark
        if any(char.islower() for char in mark) and mark[1:] != mark[1:].lower()
        else mark.lower()
    )


def _sign(mark: str) -> list[Token]:
    if mark in _DROPPED or unicodedata.category(mark) in ("So", "Sk", "Cf", "Mn", "Cs", "Po", "Pd"):
        kept = mark in "%&@/\\†‰" and mark in _SIGNS | {"@": 0, "/": 0, "\\": 0, "‰": 0}
        if not kept:
            return []
    return [Token(_SIGNS.get(mark, mark), fixed=True)]


def _money(tokens: list[Token]) -> list[Token]:
    """Put a currency behind its amount: $50, 50$ and 50 dollars are one."""
    out: list[Token] = []
    index = 0
    while index < len(tokens):
        here = tokens[index]
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if here.fixed and here.text in ("dollars", "euros", "£", "¥") and _is_number(following):
            assert following is not None
            out += [following, here]
            index += 2
            continue
        if out and _is_number(out[-1]) and here.text in _MONEY_WORDS:
            here = Token(_MONEY_WORDS[here.text], fixed=True)
        out.append(here)
        index += 1
    return out


def _is_number(token: Token | None) -> bool:
    return token is not None and token.fixed and token.text.lstrip("-.")[:1].isdigit()
